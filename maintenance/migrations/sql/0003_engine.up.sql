-- Purpose: what the delivery engine decides by: stop rules, tags, policy, holdouts, sessions, test users; and
--   what it tells: ghosts, late events, why campaigns were not shown.
-- Locks: ACCESS EXCLUSIVE on campaigns, the buffers, the log, the counts and the daily counts, for a moment
--   each: a column with a constant default rewrites nothing.

ALTER TABLE campaigns
    ADD COLUMN schedule_timezone text NOT NULL DEFAULT 'campaign' CHECK (schedule_timezone IN ('campaign', 'user')),
    ADD COLUMN stop_after jsonb,
    ADD COLUMN tags jsonb NOT NULL DEFAULT '[]',
    ADD COLUMN exempt boolean NOT NULL DEFAULT false,
    ADD COLUMN counts_for_policy boolean NOT NULL DEFAULT true,
    ADD COLUMN holdout_percent double precision NOT NULL DEFAULT 0 CHECK (holdout_percent BETWEEN 0 AND 100);

-- Also told to whoever listens, in the moment of the commit: a replica may be behind.
CREATE OR REPLACE FUNCTION bump_catalog_version() RETURNS trigger
LANGUAGE plpgsql AS $$
DECLARE
    bumped bigint;
BEGIN
    UPDATE catalog_version SET version = version + 1 RETURNING version INTO bumped;
    PERFORM pg_notify('tayang_catalog', bumped::text);
    RETURN NULL;
END
$$;

-- One for the installation. The document is `PolicyIn`'s; every api process reads it with the catalog.
CREATE TABLE policy (
    only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    document jsonb NOT NULL,
    version integer NOT NULL DEFAULT 1,
    updated_at timestamptz NOT NULL DEFAULT now()
) WITH (fillfactor = 50, vacuum_truncate = off);
INSERT INTO policy (document) VALUES ('{}');
CREATE TRIGGER policy_bumps_catalog_version
AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON policy
FOR EACH STATEMENT EXECUTE FUNCTION bump_catalog_version();

-- Users whose events never count. Few: every api process holds them all.
CREATE TABLE test_users (
    user_id text COLLATE "C" PRIMARY KEY,
    note text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now()
) WITH (vacuum_truncate = off);
CREATE TRIGGER test_users_bump_catalog_version
AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON test_users
FOR EACH STATEMENT EXECUTE FUNCTION bump_catalog_version();

-- session: 32 bits of a hash, 0 if the request named none. late: no longer live when the event arrived.
ALTER TABLE impression_buffer_0
    ADD COLUMN session integer NOT NULL DEFAULT 0,
    ADD COLUMN late boolean NOT NULL DEFAULT false;
ALTER TABLE impression_buffer_1
    ADD COLUMN session integer NOT NULL DEFAULT 0,
    ADD COLUMN late boolean NOT NULL DEFAULT false;
CREATE OR REPLACE VIEW impression_buffer AS
SELECT * FROM impression_buffer_0
UNION ALL
SELECT * FROM impression_buffer_1;
-- In the log a session that is missing is null, which takes no room: most impressions have none.
ALTER TABLE impressions
    ADD COLUMN late boolean NOT NULL DEFAULT false,
    ADD COLUMN session integer;
ALTER TABLE impression_quarantine
    ADD COLUMN session integer NOT NULL DEFAULT 0,
    ADD COLUMN late boolean NOT NULL DEFAULT false;

-- The row of −campaign_id counts the ghosts of a user that is held out of the campaign.
-- sessions: beside each time in `recent`; null while none of them had one.
ALTER TABLE user_campaign_counts
    ADD COLUMN last_convert_at timestamptz,
    ADD COLUMN sessions integer[];

-- late_events are among the events.
ALTER TABLE campaign_daily_counts ADD COLUMN late_events bigint NOT NULL DEFAULT 0;

-- Why requests were not shown a campaign: summed in the api processes, added here every few seconds.
CREATE TABLE campaign_no_shows (
    day date NOT NULL,
    campaign_id integer NOT NULL,
    reason text COLLATE "C" NOT NULL,
    requests bigint NOT NULL,
    PRIMARY KEY (day, campaign_id, reason)
) WITH (fillfactor = 50);
