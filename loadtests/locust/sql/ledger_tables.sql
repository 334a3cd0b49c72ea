-- Purpose: what Locust's ledger is copied into, and the events of the log that are the test's: all.
-- Locks: none beyond ACCESS SHARE.
CREATE TEMPORARY TABLE acknowledged (impression_id uuid NOT NULL, kind smallint NOT NULL);
CREATE TEMPORARY TABLE unanswered (impression_id uuid NOT NULL, kind smallint NOT NULL);
CREATE TEMPORARY TABLE logged AS
SELECT impression_id, kind, user_id, campaign_id, occurred_at
FROM impressions
WHERE kind IN (1, 2, 3) AND campaign_id > 0
