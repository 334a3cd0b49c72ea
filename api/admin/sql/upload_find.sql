-- Purpose: a resumable upload of a campaign.
-- Parameters: $1 id, $2 campaign id.
-- Locks: reads only.
SELECT * FROM audience_uploads WHERE id = $1 AND campaign_id = $2 AND expires_at > now()
