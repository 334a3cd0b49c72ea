-- Purpose: make the others that hand out units of this campaign wait; and what this process holds of it.
--   No row: the budget isn't hard (any more).
-- Parameters: $1 integer, the campaign; $2 bigint, the instance.
-- Locks: the account's row until commit. Leases are locked after it, in the order of their ids.
SELECT
    a.opened,
    ARRAY(SELECT l.id FROM budget_leases AS l WHERE l.campaign_id = $1 AND l.instance = $2) AS leases
FROM budget_accounts AS a
WHERE a.campaign_id = $1
FOR UPDATE
