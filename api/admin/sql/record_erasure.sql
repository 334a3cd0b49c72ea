-- Purpose: note that a user is erased, by a hash. A second time moves the record on.
-- Parameters: $1 text, the user; $2 jsonb, rows removed by place; $3 double precision, seconds by which the clock of
--   whoever served a popup may be ahead of this server's.
-- Locks: the row lock on the record. A trigger writes the audit log.
INSERT INTO erasures AS e (user_hash, erased_at, before_id, removed)
SELECT
    hashtextextended($1, s.secret),
    moment.now,
    -- The least UUIDv7 of the millisecond after: 48 bits of time, then zeros.
    (
        lpad(to_hex(floor(extract(EPOCH FROM moment.now) * 1000 + $3 * 1000)::bigint + 1), 12, '0')
        || repeat('0', 20)
    )::uuid,
    $2
FROM erasure_secret AS s
CROSS JOIN (SELECT clock_timestamp() AS now) AS moment
ON CONFLICT (user_hash) DO UPDATE SET
    erased_at = excluded.erased_at,
    before_id = greatest(e.before_id, excluded.before_id),
    removed = excluded.removed,
    done_at = NULL
RETURNING e.id, e.erased_at, e.done_at, e.removed
