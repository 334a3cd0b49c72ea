-- Purpose: the session goes back to its pool as it was.
-- Parameters: none.
-- Locks: none that others notice.
DROP TABLE IF EXISTS pg_temp.audience_upload
