-- Purpose: why requests were not shown a campaign, by day.
-- Parameters: $1 campaign, $2 first day, $3 last day.
-- Locks: reads only.
-- Plan: an index lookup for each day. One for the range would read the days of all campaigns.
SELECT n.day, n.reason, n.requests
FROM generate_series(0, $3::date - $2::date) AS d (days)
CROSS JOIN LATERAL (
    SELECT s.day, s.reason, s.requests
    FROM campaign_no_shows AS s
    WHERE s.day = $2::date + d.days AND s.campaign_id = $1
) AS n
ORDER BY n.day, n.requests DESC, n.reason
