-- Purpose: one merge (invariants I2, I4, I6): the buffered rows above each instance's watermark enter
--   the log; only the rows that the log had not known move the counts; the watermarks and the tick follow.
--   The prefix of each instance is cut at $1 rows, so a backlog is worked off in bounded transactions.
-- Parameters: $1 bigint, the most rows of one instance in one merge;
--   $2 uuid[], what the log can take: ids from the 1st to below the 2nd, from the 3rd to below the 4th …;
--   $3 timestamptz[], the same for the daily counts, by UTC midnights;
--   $4 timestamptz, now.
-- Locks: row locks on the counts in key order; none on the buffer beyond ACCESS SHARE.
-- Returns one row: rows, unfit and quarantined among them, events, users, campaigns.
WITH lowest AS MATERIALIZED (
    SELECT b.instance, min(b.seq) AS seq
    FROM impression_buffer AS b
    LEFT JOIN buffer_watermarks AS w ON w.instance = b.instance
    WHERE b.seq > coalesce(w.seq, 0)
    GROUP BY b.instance
),
fresh AS MATERIALIZED (
    SELECT
        b.*,
        (
            width_bucket(b.impression_id, $2::uuid[]) % 2 = 1
            -- In no zone is it further from UTC's date than a day.
            AND width_bucket(b.occurred_at - interval '1 day', $3::timestamptz[]) % 2 = 1
            AND width_bucket(b.occurred_at + interval '1 day', $3::timestamptz[]) % 2 = 1
        ) AS fits
    FROM impression_buffer AS b
    INNER JOIN lowest ON lowest.instance = b.instance
    WHERE b.seq >= lowest.seq AND b.seq < lowest.seq + $1
),
quarantined AS (
    INSERT INTO impression_quarantine
    SELECT DISTINCT ON (impression_id, kind, user_id)
        instance, seq, impression_id, kind, user_id, campaign_id, variant, occurred_at, $4
    FROM fresh
    WHERE NOT fits
    ORDER BY impression_id, kind, user_id
    ON CONFLICT DO NOTHING
    RETURNING 1
),
logged AS (
    INSERT INTO impressions (impression_id, kind, user_id, campaign_id, variant, occurred_at)
    SELECT DISTINCT ON (impression_id, kind, user_id)
        impression_id, kind, user_id, campaign_id, variant, occurred_at
    FROM fresh
    WHERE fits
    ORDER BY impression_id, kind, user_id, occurred_at
    ON CONFLICT DO NOTHING
    RETURNING impression_id, kind, user_id, campaign_id, variant, occurred_at
),
per_user AS MATERIALIZED (
    SELECT
        user_id,
        campaign_id,
        count(*) FILTER (WHERE kind = 1) AS total,
        count(*) FILTER (WHERE kind = 2) AS clicks,
        count(*) FILTER (WHERE kind = 3) AS dismissals,
        count(*) FILTER (WHERE kind = 4) AS conversions,
        coalesce((array_agg(occurred_at ORDER BY occurred_at DESC) FILTER (WHERE kind = 1))[1:64], '{}') AS recent,
        min(occurred_at) FILTER (WHERE kind = 1) AS first_at,
        max(occurred_at) FILTER (WHERE kind = 1) AS last_at,
        max(occurred_at) FILTER (WHERE kind = 2) AS last_click_at,
        max(occurred_at) FILTER (WHERE kind = 3) AS last_dismiss_at
    FROM logged
    GROUP BY user_id, campaign_id
),
counted AS (
    INSERT INTO user_campaign_counts AS c (
        user_id, campaign_id, total, clicks, dismissals, conversions,
        recent, first_at, last_at, last_click_at, last_dismiss_at
    )
    SELECT
        user_id, campaign_id, total, clicks, dismissals, conversions,
        recent, first_at, last_at, last_click_at, last_dismiss_at
    FROM per_user
    ORDER BY user_id, campaign_id
    ON CONFLICT (user_id, campaign_id) DO UPDATE SET
        total = c.total + excluded.total,
        clicks = c.clicks + excluded.clicks,
        dismissals = c.dismissals + excluded.dismissals,
        conversions = c.conversions + excluded.conversions,
        -- Nearly always the new times are the newest; sorting is for a phone that was offline.
        recent = CASE
            WHEN excluded.last_at IS NULL THEN c.recent
            WHEN c.last_at IS NULL OR excluded.recent[cardinality(excluded.recent)] >= c.last_at
                THEN (excluded.recent || c.recent)[1:64]
            ELSE (
                SELECT array_agg(newest.t)
                FROM (
                    SELECT u.t FROM unnest(excluded.recent || c.recent) AS u (t) ORDER BY u.t DESC LIMIT 64
                ) AS newest
            )
        END,
        first_at = least(c.first_at, excluded.first_at),
        last_at = greatest(c.last_at, excluded.last_at),
        last_click_at = greatest(c.last_click_at, excluded.last_click_at),
        last_dismiss_at = greatest(c.last_dismiss_at, excluded.last_dismiss_at)
    RETURNING c.user_id, c.campaign_id, c.total
),
-- A user is new to a campaign when all that is counted came with this merge.
newcomers AS (
    SELECT DISTINCT ON (l.user_id, l.campaign_id) l.user_id, l.impression_id
    FROM per_user AS p
    INNER JOIN counted AS c ON c.user_id = p.user_id AND c.campaign_id = p.campaign_id AND c.total = p.total
    INNER JOIN logged AS l ON l.user_id = p.user_id AND l.campaign_id = p.campaign_id AND l.kind = 1
    WHERE p.total > 0
    ORDER BY l.user_id, l.campaign_id, l.occurred_at, l.impression_id
),
daily AS (
    INSERT INTO campaign_daily_counts AS d (day, campaign_id, variant, kind, events, new_users)
    SELECT
        (l.occurred_at AT TIME ZONE coalesce(t.timezone, 'UTC'))::date AS day,
        l.campaign_id,
        l.variant,
        l.kind,
        count(*) AS events,
        count(n.user_id) AS new_users
    FROM logged AS l
    LEFT JOIN campaigns AS t ON t.id = l.campaign_id
    LEFT JOIN newcomers AS n ON n.impression_id = l.impression_id AND n.user_id = l.user_id AND l.kind = 1
    GROUP BY 1, 2, 3, 4
    ORDER BY 1, 2, 3, 4
    ON CONFLICT (day, campaign_id, variant, kind) DO UPDATE SET
        events = d.events + excluded.events,
        new_users = d.new_users + excluded.new_users
),
marks AS (
    INSERT INTO buffer_watermarks AS w (instance, seq, merged_at)
    SELECT instance, max(seq), $4 FROM fresh GROUP BY instance ORDER BY instance
    ON CONFLICT (instance) DO UPDATE SET
        seq = greatest(w.seq, excluded.seq),
        merged_at = excluded.merged_at
),
ticked AS (
    UPDATE merge_ticks SET tick = tick + 1, merged_at = $4
    -- An idle service ticks once a second: often enough to be seen alive, seldom enough to cost nothing.
    WHERE EXISTS (SELECT FROM fresh) OR merged_at < $4 - interval '1 second'
)
SELECT
    (SELECT count(*) FROM fresh) AS rows,
    (SELECT count(*) FROM fresh WHERE NOT fits) AS unfit,
    (SELECT count(*) FROM quarantined) AS quarantined,
    (SELECT count(*) FROM logged) AS events,
    (SELECT count(DISTINCT user_id) FROM per_user) AS users,
    (SELECT count(DISTINCT campaign_id) FROM per_user) AS campaigns
