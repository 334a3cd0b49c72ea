-- Purpose: what reports read (docs/decisions/0023): how many users have seen a campaign once, twice …
-- Locks: the merge's turn while what was counted before is summed (some seconds for 10M counts); readers go on.

-- `times` up to 64: as often or more. The merge moves users from one row to another; the sum is the reach.
CREATE TABLE campaign_frequency (
    campaign_id integer NOT NULL,
    times smallint NOT NULL,
    users bigint NOT NULL,
    PRIMARY KEY (campaign_id, times)
) WITH (fillfactor = 50);

-- MERGE_LOCK of maintenance/duty.py: nothing is counted between the sum and the commit.
SELECT pg_advisory_xact_lock(x'0000746179610001'::bigint);
INSERT INTO campaign_frequency (campaign_id, times, users)
SELECT campaign_id, least(total, 64), count(*)
FROM user_campaign_counts
-- Below 0 are ghosts; 0 is somebody who clicked before the impression came, or was only served.
WHERE campaign_id > 0 AND total > 0
GROUP BY 1, 2;
