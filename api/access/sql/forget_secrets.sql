-- Purpose: forget secrets of a key that are of no use any more.
-- Parameters: $1 text, the key's id; $2 boolean, all of them, or else those that have expired.
-- Locks: the secrets' rows; the row of api_key_stamp until commit, through the trigger.
DELETE FROM api_key_secrets
WHERE key_id = $1 AND ($2::boolean OR expires_at <= now())
