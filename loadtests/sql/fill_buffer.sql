-- Purpose: impressions as an api process would have copied them, of users and campaigns already counted.
--   Users are drawn evenly (skew 0), or like Zipf's law with exponent 0.8 (skew 1: the power is the inverse
--   of that law's cumulative distribution); a multiplication spreads the frequent ones over the table.
-- Parameters: instance, after (the last seq of the instance), rows, users, skew, campaigns, rows_a_user.
-- Locks: none beyond the insert's own.
INSERT INTO impression_buffer_0 (
    instance, seq, impression_id, kind, user_id, campaign_id, variant, occurred_at
)
SELECT
    %(instance)s,
    %(after)s + drawn.n,
    uuidv7(),
    1,
    'user-' || lpad(picked.n::text, 7, '0'),
    (%(campaigns)s::integer[])[
        1 + (picked.n * 7 + floor(drawn.b * %(rows_a_user)s)::bigint) %% cardinality(%(campaigns)s::integer[])
    ],
    'a',
    clock_timestamp()
FROM (
    SELECT g.n, random() AS a, random() AS b
    FROM generate_series(1, %(rows)s) AS g (n)
) AS drawn
CROSS JOIN LATERAL (
    SELECT CASE WHEN %(skew)s = 0
        THEN floor(drawn.a * %(users)s)::bigint
        ELSE floor(power(drawn.a * (power(%(users)s::float8, 0.2) - 1) + 1, 5) - 1)::bigint * 7919 %% %(users)s
    END AS n
) AS picked
