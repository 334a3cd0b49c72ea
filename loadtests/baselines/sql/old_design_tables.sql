-- Purpose: the old design's tables, in a schema of their own beside Tayang's, from Tayang's campaigns, lists
--   and counts: the same campaigns, the same users, the same impressions. Calendar windows become rolling ones.
-- Locks: none beyond ACCESS SHARE on Tayang's tables.
CREATE SCHEMA old_design;
CREATE TABLE old_design.campaigns AS
SELECT
    id,
    key,
    placement,
    priority,
    status,
    starts_at,
    ends_at,
    audience,
    variants -> 0 -> 'content' AS content,
    NULL::text AS popup
FROM campaigns
WHERE status = 'live';
ALTER TABLE old_design.campaigns ADD PRIMARY KEY (id);
CREATE INDEX ON old_design.campaigns (placement, priority) WHERE status = 'live';

CREATE TABLE old_design.campaign_caps AS
SELECT
    c.id AS campaign_id,
    (cap ->> 'limit')::integer AS cap_limit,
    CASE cap ->> 'window'
        WHEN 'lifetime' THEN NULL
        WHEN 'day' THEN interval '1 day'
        WHEN 'week' THEN interval '7 days'
        WHEN 'month' THEN interval '30 days'
        ELSE replace(replace(cap ->> 'window', 'm', ' minutes'), 'd', ' days')::interval
    END AS cap_window
FROM campaigns AS c
CROSS JOIN LATERAL jsonb_array_elements(c.caps) AS cap
WHERE c.status = 'live';
CREATE INDEX ON old_design.campaign_caps (campaign_id);

CREATE TABLE old_design.campaigns_targets AS
SELECT user_id, campaign_id FROM audience_members;
ALTER TABLE old_design.campaigns_targets ADD PRIMARY KEY (user_id, campaign_id);

CREATE TABLE old_design.impressions (
    id bigint GENERATED ALWAYS AS IDENTITY,
    user_id text COLLATE "C" NOT NULL,
    campaign_id integer NOT NULL,
    shown_at timestamptz NOT NULL DEFAULT now()
);
INSERT INTO old_design.impressions (user_id, campaign_id, shown_at)
SELECT user_id, campaign_id, unnest(recent)
FROM user_campaign_counts
WHERE campaign_id > 0;
ALTER TABLE old_design.impressions ADD PRIMARY KEY (id);
-- Covers the COUNT(*): an index-only scan for each campaign and window.
CREATE INDEX ON old_design.impressions (user_id, campaign_id, shown_at);
