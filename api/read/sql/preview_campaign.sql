-- Purpose: one campaign, whatever its status, as the catalog would have it.
-- Parameters: $1 integer, the campaign.
-- Locks: none beyond ACCESS SHARE.
SELECT to_jsonb(c) AS campaign
FROM campaigns AS c
WHERE c.id = $1
