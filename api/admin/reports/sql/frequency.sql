-- Purpose: how many users have seen a campaign once, twice … 64 times or more.
-- Parameters: $1 campaign.
-- Locks: reads only.
SELECT f.times, sum(f.users)::bigint AS users
FROM campaign_frequency AS f
WHERE f.campaign_id = $1
GROUP BY f.times
HAVING sum(f.users) <> 0
ORDER BY f.times
