-- Purpose: the erasures of which the log was not searched yet, oldest first.
-- Parameters: $1 bigint, at most so many.
-- Locks: none beyond ACCESS SHARE.
SELECT e.id, e.user_hash, e.before_id, e.erased_at
FROM erasures AS e
WHERE e.done_at IS NULL
ORDER BY e.erased_at
LIMIT $1
