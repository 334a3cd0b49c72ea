-- Purpose: one campaign by id or by key.
-- Parameters: $1 id or null, $2 key or null; exactly one is given.
-- Locks: reads only.
SELECT *
FROM campaigns
WHERE id = $1::integer OR key = $2::text
