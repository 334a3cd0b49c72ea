-- Purpose: what happened with a campaign on each day, by variant; days and variants without events are left out.
-- Parameters: $1 campaign, $2 first day, $3 last day.
-- Locks: reads only.
-- Plan: an index lookup for each day. One for the range would read the days of all campaigns;
--   that it is asked for as well leaves other months' partitions out of the plan.
SELECT
    c.day,
    c.variant,
    coalesce(sum(c.events) FILTER (WHERE c.kind = 1), 0)::bigint AS impressions,
    coalesce(sum(c.late_events) FILTER (WHERE c.kind = 1), 0)::bigint AS late_impressions,
    coalesce(sum(c.events) FILTER (WHERE c.kind = 2), 0)::bigint AS clicks,
    coalesce(sum(c.events) FILTER (WHERE c.kind = 3), 0)::bigint AS dismissals,
    coalesce(sum(c.events) FILTER (WHERE c.kind = 4), 0)::bigint AS conversions,
    sum(c.late_events)::bigint AS late_events,
    coalesce(sum(c.new_users) FILTER (WHERE c.kind = 1), 0)::bigint AS new_users,
    coalesce(sum(c.new_users) FILTER (WHERE c.kind = 2), 0)::bigint AS new_clickers,
    coalesce(sum(c.new_users) FILTER (WHERE c.kind = 3), 0)::bigint AS new_dismissers,
    coalesce(sum(c.new_users) FILTER (WHERE c.kind = 4), 0)::bigint AS new_converters
FROM generate_series(0, $3::date - $2::date) AS d (days)
CROSS JOIN LATERAL (
    SELECT s.day, s.variant, s.kind, s.events, s.late_events, s.new_users
    FROM campaign_daily_counts AS s
    WHERE s.day = $2::date + d.days AND s.day BETWEEN $2 AND $3 AND s.campaign_id = $1 AND s.kind <= 4
) AS c
GROUP BY c.day, c.variant
ORDER BY c.day, c.variant
