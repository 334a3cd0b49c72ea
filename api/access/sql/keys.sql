-- Purpose: the stamp of the API keys, and, if it is another one than is known, all keys that hold: for each
--   secret its hash, the key's id, name and scopes, and until when it holds (seconds since 1970; null: for good).
-- Parameters: $1 uuid, the known stamp, or null.
-- Locks: none beyond ACCESS SHARE.
SELECT
    t.stamp,
    CASE
        WHEN t.stamp IS DISTINCT FROM $1::uuid
            THEN (
                SELECT coalesce(jsonb_agg(jsonb_build_object(
                    'hash', encode(s.hash, 'hex'),
                    'id', k.id,
                    'scopes', k.scopes,
                    'until', extract(EPOCH FROM least(k.expires_at, s.expires_at))
                )), '[]')
                FROM api_key_secrets AS s
                INNER JOIN api_keys AS k ON k.id = s.key_id
                WHERE
                    k.revoked_at IS NULL
                    AND (k.expires_at IS NULL OR k.expires_at > now())
                    AND (s.expires_at IS NULL OR s.expires_at > now())
            )
    END AS keys
FROM api_key_stamp AS t
