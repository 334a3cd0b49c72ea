-- Purpose: an impression, as the old design stores it: one statement on the primary, durable when it returns.
-- Parameters: $1 text, the user; $2 integer, the campaign.
-- Locks: none beyond the insert's own.
INSERT INTO old_design.impressions (user_id, campaign_id) VALUES ($1, $2)
