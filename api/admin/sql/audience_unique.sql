-- Purpose: how many different users the upload names.
-- Parameters: none.
-- Locks: reads only.
SELECT count(*) FROM (SELECT DISTINCT user_id FROM pg_temp.audience_upload) AS named
