-- Purpose: what was counted before the load test; its session keeps it.
-- Locks: none beyond ACCESS SHARE.
CREATE TEMPORARY TABLE counts_before AS
SELECT user_id, campaign_id, total, clicks, dismissals
FROM user_campaign_counts
WHERE campaign_id > 0
