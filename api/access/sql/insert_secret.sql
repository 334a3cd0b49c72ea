-- Purpose: what an API key is recognised by, from now on.
-- Parameters: $1 bytea, the SHA-256; $2 text, the key's id.
-- Locks: the row of api_key_stamp until commit, through the trigger.
INSERT INTO api_key_secrets (hash, key_id)
VALUES ($1, $2)
