-- Purpose: back to an empty database.
-- Locks: ACCESS EXCLUSIVE on everything of Tayang's.
DROP VIEW impression_buffer;
DROP TABLE
    campaign_daily_counts, impressions, impression_quarantine, merge_ticks, buffer_watermarks,
    impression_buffer_0, impression_buffer_1, user_campaign_counts, audience_members,
    catalog_version, campaigns;
DROP FUNCTION bump_catalog_version();
