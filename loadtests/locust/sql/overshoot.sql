-- Purpose: impressions of the test that a cap of their campaign should have prevented: with each of them,
--   how many of that user and campaign the cap's window held up to it. What was counted before the test
--   counts, too. Of windows the newest 64 times are known, which is all that a limit may ask for.
-- Locks: none beyond ACCESS SHARE.
WITH caps AS (
    SELECT
        c.id AS campaign_id,
        c.timezone,
        (cap ->> 'limit')::bigint AS cap_limit,
        cap ->> 'window' AS cap_window
    FROM campaigns AS c
    CROSS JOIN LATERAL jsonb_array_elements(c.caps) AS cap
),
shown AS (
    SELECT user_id, campaign_id, occurred_at FROM logged WHERE kind = 1
),
windows AS (
    SELECT
        s.user_id,
        s.campaign_id,
        s.occurred_at,
        p.cap_limit,
        p.cap_window,
        CASE
            WHEN p.cap_window = 'lifetime' THEN '-infinity'::timestamptz
            WHEN p.cap_window IN ('day', 'week', 'month')
                -- A microsecond less: midnight itself belongs to the day.
                THEN date_trunc(p.cap_window, s.occurred_at, p.timezone) - interval '1 microsecond'
            ELSE s.occurred_at - replace(replace(p.cap_window, 'm', ' minutes'), 'd', ' days')::interval
        END AS starts_after
    FROM shown AS s
    INNER JOIN caps AS p USING (campaign_id)
)
SELECT
    count(*) AS checked,
    count(*) FILTER (WHERE found.times > w.cap_limit) AS overshot,
    count(*) FILTER (WHERE found.times = w.cap_limit) AS reached
FROM windows AS w
INNER JOIN user_campaign_counts AS c USING (user_id, campaign_id)
CROSS JOIN LATERAL (
    SELECT CASE
        WHEN w.cap_window = 'lifetime'
            THEN c.total - (SELECT count(*) FROM unnest(c.recent) AS r (at) WHERE r.at > w.occurred_at)
        ELSE (
            SELECT count(*) FROM unnest(c.recent) AS r (at)
            WHERE r.at > w.starts_after AND r.at <= w.occurred_at
        )
    END AS times
) AS found
