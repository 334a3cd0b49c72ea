-- Purpose: one campaign, by its id or its key, whatever its status.
-- Parameters: $1 integer, the id, or null; $2 text, the key, or null.
-- Locks: none beyond ACCESS SHARE.
SELECT c.id, c.key, c.status, c.placement, c.priority
FROM campaigns AS c
WHERE c.id = $1 OR c.key = $2
