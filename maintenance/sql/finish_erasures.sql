-- Purpose: note that the log was searched. One whose user was erased again meanwhile stays open.
-- Parameters: $1 uuid[], the erasures; $2 timestamptz[], when they were; $3 bigint[], rows removed; $4 timestamptz, now.
-- Locks: row locks on these.
UPDATE erasures AS e
SET done_at = $4, removed = e.removed || jsonb_build_object('log', done.rows)
FROM unnest($1::uuid[], $2::timestamptz[], $3::bigint[]) AS done (id, erased_at, rows)
WHERE e.id = done.id AND e.erased_at = done.erased_at
