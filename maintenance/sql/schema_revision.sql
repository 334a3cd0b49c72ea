-- Purpose: the migration that the database has come to; an error (undefined_table) before the first one.
-- Parameters: none.
-- Locks: ACCESS SHARE on alembic_version, for the statement.
SELECT version_num FROM alembic_version
