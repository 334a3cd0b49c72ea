-- Purpose: campaigns that are not live, the newest first.
-- Parameters: $1 integer, at most so many.
-- Locks: none beyond ACCESS SHARE.
SELECT c.id, c.key, c.status, c.placement, c.priority
FROM campaigns AS c
WHERE c.status <> 'live'
ORDER BY c.id DESC
LIMIT $1
