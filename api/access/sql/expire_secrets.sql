-- Purpose: let the older secrets of a key go on for a while only; none goes on longer than it would have.
-- Parameters: $1 text, the key's id; $2 double precision, seconds.
-- Locks: the secrets' rows; the row of api_key_stamp until commit, through the trigger.
UPDATE api_key_secrets
SET expires_at = least(expires_at, now() + $2::double precision * interval '1 second')
WHERE key_id = $1
