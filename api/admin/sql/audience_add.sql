-- Purpose: list a slice of those who were found.
-- Parameters: $1 campaign id; places above $2, up to $3.
-- Locks: the new rows.
INSERT INTO audience_members (user_id, campaign_id)
SELECT user_id, $1::integer FROM pg_temp.audience_change WHERE place > $2::bigint AND place <= $3::bigint
ON CONFLICT DO NOTHING
