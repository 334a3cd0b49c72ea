-- Purpose: users by the variant and kind of their first event of that kind, and since when there are any.
-- Parameters: $1 campaign, $2 first day, $3 last day.
-- Locks: reads only.
-- Plan: as that of days.sql.
SELECT c.variant, c.kind, sum(c.new_users)::bigint AS users, min(c.day) AS since
FROM generate_series(0, $3::date - $2::date) AS d (days)
CROSS JOIN LATERAL (
    SELECT s.day, s.variant, s.kind, s.new_users
    FROM campaign_daily_counts AS s
    WHERE s.day = $2::date + d.days AND s.day BETWEEN $2 AND $3 AND s.campaign_id = $1
) AS c
GROUP BY c.variant, c.kind
ORDER BY c.variant, c.kind
