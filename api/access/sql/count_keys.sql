-- Purpose: how many API keys hold.
-- Parameters: none.
-- Locks: none beyond ACCESS SHARE.
SELECT count(*)
FROM api_keys AS k
WHERE k.revoked_at IS NULL AND (k.expires_at IS NULL OR k.expires_at > now())
