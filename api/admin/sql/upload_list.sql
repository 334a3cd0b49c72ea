-- Purpose: the resumable uploads of a campaign that are open.
-- Parameters: $1 campaign id.
-- Locks: reads only.
SELECT *
FROM audience_uploads
WHERE campaign_id = $1 AND result IS NULL AND expires_at > now()
ORDER BY created_at, id
