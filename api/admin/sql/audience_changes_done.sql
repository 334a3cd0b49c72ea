-- Purpose: room for the next ones.
-- Parameters: none.
-- Locks: none that others notice.
TRUNCATE pg_temp.audience_change
