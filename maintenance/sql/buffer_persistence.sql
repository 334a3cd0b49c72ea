-- Purpose: is a buffer table UNLOGGED ('u') or logged ('p')?
-- Parameters: $1 text, the table.
-- Locks: none beyond ACCESS SHARE on the catalogs.
SELECT c.relpersistence::text FROM pg_class AS c WHERE c.oid = to_regclass($1)
