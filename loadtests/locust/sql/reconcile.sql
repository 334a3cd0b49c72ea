-- Purpose: acknowledged events against the log, and the log against the counts.
--   missing: acknowledged and not in the log; unexplained: in the log, neither acknowledged nor left without
--   an answer; wrong_counts: users and campaigns whose counts have not grown by what the log holds.
-- Locks: none beyond ACCESS SHARE.
WITH acknowledged_once AS (
    SELECT DISTINCT impression_id, kind FROM acknowledged
),
known AS (
    SELECT impression_id, kind FROM acknowledged_once
    UNION
    SELECT impression_id, kind FROM unanswered
),
grown AS (
    SELECT
        user_id,
        campaign_id,
        c.total - coalesce(b.total, 0) AS impressions,
        c.clicks - coalesce(b.clicks, 0) AS clicks,
        c.dismissals - coalesce(b.dismissals, 0) AS dismissals
    FROM user_campaign_counts AS c
    LEFT JOIN counts_before AS b USING (user_id, campaign_id)
    WHERE c.campaign_id > 0
),
in_log AS (
    SELECT
        user_id,
        campaign_id,
        count(*) FILTER (WHERE kind = 1) AS impressions,
        count(*) FILTER (WHERE kind = 2) AS clicks,
        count(*) FILTER (WHERE kind = 3) AS dismissals
    FROM logged
    GROUP BY 1, 2
)
SELECT
    (SELECT count(*) FROM acknowledged) AS acknowledgements,
    (SELECT count(*) FROM acknowledged_once) AS acknowledged,
    (SELECT count(*) FROM unanswered) AS unanswered,
    (SELECT count(*) FROM logged) AS logged,
    (SELECT sum(impressions + clicks + dismissals)::bigint FROM grown) AS counted,
    (
        SELECT count(*)
        FROM acknowledged_once AS a
        WHERE NOT EXISTS (
            SELECT FROM logged AS l WHERE l.impression_id = a.impression_id AND l.kind = a.kind
        )
    ) AS missing,
    (
        SELECT count(*)
        FROM logged AS l
        WHERE NOT EXISTS (
            SELECT FROM known AS k WHERE k.impression_id = l.impression_id AND k.kind = l.kind
        )
    ) AS unexplained,
    (
        SELECT count(*)
        FROM grown AS g
        FULL JOIN in_log AS l USING (user_id, campaign_id)
        WHERE (coalesce(g.impressions, 0), coalesce(g.clicks, 0), coalesce(g.dismissals, 0))
            <> (coalesce(l.impressions, 0), coalesce(l.clicks, 0), coalesce(l.dismissals, 0))
    ) AS wrong_counts
