-- Purpose: back to one row for each sum.
-- Locks: the merge's turn, and ACCESS EXCLUSIVE on both tables, while the stripes are added up.
SELECT pg_advisory_xact_lock(x'0000746179610001'::bigint);

CREATE TEMPORARY TABLE frequency_sums ON COMMIT DROP AS
SELECT campaign_id, times, sum(users)::bigint AS users FROM campaign_frequency GROUP BY 1, 2;
TRUNCATE campaign_frequency;
ALTER TABLE campaign_frequency DROP CONSTRAINT campaign_frequency_pkey, DROP COLUMN stripe;
ALTER TABLE campaign_frequency ADD PRIMARY KEY (campaign_id, times);
INSERT INTO campaign_frequency (campaign_id, times, users) SELECT campaign_id, times, users FROM frequency_sums;

CREATE TEMPORARY TABLE daily_sums ON COMMIT DROP AS
SELECT
    day,
    campaign_id,
    variant,
    kind,
    sum(events)::bigint AS events,
    sum(new_users)::bigint AS new_users,
    sum(late_events)::bigint AS late_events
FROM campaign_daily_counts
GROUP BY 1, 2, 3, 4;
TRUNCATE campaign_daily_counts;
ALTER TABLE campaign_daily_counts DROP CONSTRAINT campaign_daily_counts_pkey;
ALTER TABLE campaign_daily_counts DROP COLUMN stripe;
ALTER TABLE campaign_daily_counts ADD PRIMARY KEY (day, campaign_id, variant, kind);
INSERT INTO campaign_daily_counts (day, campaign_id, variant, kind, events, new_users, late_events)
SELECT day, campaign_id, variant, kind, events, new_users, late_events FROM daily_sums;
