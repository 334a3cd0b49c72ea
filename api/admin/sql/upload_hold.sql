-- Purpose: the same, held until commit: a second completion waits here, and then finds the result.
-- Parameters: $1 id, $2 campaign id.
-- Locks: the row.
SELECT * FROM audience_uploads WHERE id = $1 AND campaign_id = $2 AND expires_at > now() FOR UPDATE
