-- Purpose: counts of the users [first, until): ten campaigns each, 1 to 10 impressions in each, more of
--   them lately than long ago (the cube of an even draw over 30 days: a third in the last day).
-- Parameters: first, until (user numbers), campaigns (integer[], the ids), rows (campaigns a user).
-- Locks: none beyond the insert's own.
WITH seeded AS (
    INSERT INTO user_campaign_counts (
        user_id, campaign_id, total, clicks, dismissals, conversions, recent, first_at, last_at
    )
    SELECT
        'user-' || lpad(u.n::text, 7, '0'),
        (%(campaigns)s::integer[])[1 + (u.n * 7 + k.n) %% cardinality(%(campaigns)s::integer[])],
        cardinality(shown.recent),
        0,
        0,
        0,
        shown.recent,
        shown.recent[cardinality(shown.recent)],
        shown.recent[1]
    FROM generate_series(%(first)s::bigint, %(until)s::bigint - 1) AS u (n)
    CROSS JOIN generate_series(0, %(rows)s - 1) AS k (n)
    CROSS JOIN LATERAL (
        SELECT array_agg(now() - interval '30 days' * drawn.age ORDER BY drawn.age) AS recent
        FROM (
            SELECT power(random(), 3) AS age
            FROM generate_series(1, 1 + (u.n * 3 + k.n * 7) %% 10)
        ) AS drawn
    ) AS shown
    RETURNING campaign_id, total
)
-- What reports read, as the merge would have kept it.
INSERT INTO campaign_frequency AS f (campaign_id, times, users)
SELECT campaign_id, least(total, 64), count(*)
FROM seeded
GROUP BY 1, 2
ON CONFLICT (campaign_id, times, stripe) DO UPDATE SET users = f.users + excluded.users
