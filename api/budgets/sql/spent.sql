-- Purpose: how often campaigns were shown on each of some days, and this instance's watermark, in one snapshot.
-- Parameters: $1 bigint, the instance; $2 integer[], the campaigns; $3 date, the first day; $4 date, the day after
--   the last one.
-- Locks: none beyond ACCESS SHARE.
-- Returns at least one row; without a campaign in it if none was shown.
SELECT w.seq AS watermark, d.campaign_id, d.day, d.events
FROM (
    SELECT coalesce((SELECT b.seq FROM buffer_watermarks AS b WHERE b.instance = $1), 0) AS seq
) AS w
LEFT JOIN LATERAL (
    SELECT c.campaign_id, c.day, sum(c.events)::bigint AS events
    FROM campaign_daily_counts AS c
    WHERE c.kind = 1 AND c.day >= $3 AND c.day < $4 AND c.campaign_id = ANY ($2::integer[])
    GROUP BY c.campaign_id, c.day
) AS d ON true
