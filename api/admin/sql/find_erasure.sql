-- Purpose: one erasure, and whether it is done.
-- Parameters: $1 uuid, its id.
-- Locks: none beyond ACCESS SHARE.
SELECT e.id, e.erased_at, e.done_at, e.removed
FROM erasures AS e
WHERE e.id = $1
