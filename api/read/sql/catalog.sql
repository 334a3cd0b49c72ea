-- Purpose: the live campaigns and the version they belong to, in one snapshot; and which campaigns have a
--   hard budget, live or not.
-- Locks: none beyond ACCESS SHARE.
SELECT
    (SELECT v.version FROM catalog_version AS v) AS version,
    ARRAY(SELECT to_jsonb(c) FROM campaigns AS c WHERE c.status = 'live' ORDER BY c.id) AS campaigns,
    ARRAY(SELECT a.campaign_id FROM budget_accounts AS a) AS hard_budget_ids
