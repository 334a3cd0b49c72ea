-- Purpose: take a campaign out of delivery for good; counts and reports keep referring to it.
-- Parameters: $1 id, $2 version read.
-- Locks: the campaign's row; catalog_version's row until commit, through the trigger.
UPDATE campaigns
SET status = 'archived', version = version + 1, updated_at = now()
WHERE id = $1 AND version = $2
RETURNING *
