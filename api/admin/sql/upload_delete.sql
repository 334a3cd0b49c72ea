-- Purpose: give a resumable upload up, with its parts.
-- Parameters: $1 id, $2 campaign id.
-- Locks: the row and its parts.
DELETE FROM audience_uploads WHERE id = $1 AND campaign_id = $2
