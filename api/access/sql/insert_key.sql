-- Purpose: a new API key.
-- Parameters: $1 text, its id; $2 text, its name; $3 text[], its scopes; $4 timestamptz, when it expires, or null.
-- Locks: the row of api_key_stamp until commit, through the trigger.
INSERT INTO api_keys (id, name, scopes, expires_at)
VALUES ($1, $2, $3, $4)
RETURNING id, name, scopes, created_at, expires_at, rotated_at, revoked_at
