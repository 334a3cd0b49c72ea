-- Purpose: note that a key that holds gets another secret.
-- Parameters: $1 text, its id.
-- Locks: the key's row; the row of api_key_stamp until commit, through the trigger.
UPDATE api_keys
SET rotated_at = now()
WHERE id = $1 AND revoked_at IS NULL AND (expires_at IS NULL OR expires_at > now())
RETURNING id, name, scopes, created_at, expires_at, rotated_at, revoked_at
