-- Purpose: while a report holds a snapshot open, a merge takes no longer (docs/decisions/0039): 64 merges in turn add to
-- rows of their own. What is counted is the sum of the stripes; one alone may be below 0.
-- Locks: the merge's turn; ACCESS EXCLUSIVE on both tables while their primary keys are built, a moment each.
SELECT pg_advisory_xact_lock(x'0000746179610001'::bigint);

ALTER TABLE campaign_frequency
    ADD COLUMN stripe smallint NOT NULL DEFAULT 0,
    DROP CONSTRAINT campaign_frequency_pkey,
    ADD PRIMARY KEY (campaign_id, times, stripe);

ALTER TABLE campaign_daily_counts ADD COLUMN stripe smallint NOT NULL DEFAULT 0;
ALTER TABLE campaign_daily_counts DROP CONSTRAINT campaign_daily_counts_pkey;
ALTER TABLE campaign_daily_counts ADD PRIMARY KEY (day, campaign_id, variant, kind, stripe);
