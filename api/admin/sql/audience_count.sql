-- Purpose: the size of a campaign's audience.
-- Parameters: $1 campaign id.
-- Locks: reads only.
SELECT count(*) FROM audience_members WHERE campaign_id = $1::integer
