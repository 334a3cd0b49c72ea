-- Purpose: end a key, unless it has ended.
-- Parameters: $1 text, its id.
-- Locks: the key's row; the row of api_key_stamp until commit, through the trigger.
UPDATE api_keys
SET revoked_at = now()
WHERE id = $1 AND revoked_at IS NULL
RETURNING id
