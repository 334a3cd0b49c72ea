-- Purpose: why requests were not shown a campaign, the most frequent reason first.
-- Parameters: $1 campaign, $2 first day, $3 last day.
-- Locks: reads only.
-- Plan: as that of days.sql.
SELECT n.reason, sum(n.requests)::bigint AS requests
FROM generate_series(0, $3::date - $2::date) AS d (days)
CROSS JOIN LATERAL (
    SELECT s.reason, s.requests
    FROM campaign_no_shows AS s
    WHERE s.day = $2::date + d.days AND s.campaign_id = $1
) AS n
GROUP BY n.reason
ORDER BY requests DESC, n.reason
