-- Purpose: one API key.
-- Parameters: $1 text, its id.
-- Locks: none beyond ACCESS SHARE.
SELECT id, name, scopes, created_at, expires_at, rotated_at, revoked_at
FROM api_keys
WHERE id = $1
