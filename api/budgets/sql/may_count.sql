-- Purpose: which of these impressions may count though their lease is closed: those that have spent their unit
--   before, and those of campaigns whose budget isn't hard any more.
-- Parameters: $1 uuid[], the impressions; $2 integer[], their campaigns.
-- Locks: none beyond ACCESS SHARE.
SELECT asked.impression_id
FROM unnest($1::uuid[], $2::integer[]) AS asked (impression_id, campaign_id)
WHERE EXISTS (SELECT FROM budget_uses AS u WHERE u.impression_id = asked.impression_id)
    OR NOT EXISTS (SELECT FROM budget_accounts AS a WHERE a.campaign_id = asked.campaign_id)
