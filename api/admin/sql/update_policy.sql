-- Purpose: replace the policy, if it still is what the client has read.
-- Parameters: $1 version read, $2 the document.
-- Locks: the policy's row; catalog_version's row until commit, through the trigger.
UPDATE policy
SET document = $2, version = version + 1, updated_at = now()
WHERE version = $1
RETURNING document, version, updated_at
