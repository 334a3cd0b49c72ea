-- Purpose: a page of API keys, also of those that hold no more.
-- Parameters: $1 text, the id after which it begins; $2 integer, rows.
-- Locks: none beyond ACCESS SHARE.
SELECT id, name, scopes, created_at, expires_at, rotated_at, revoked_at
FROM api_keys
WHERE id > $1
ORDER BY id
LIMIT $2
