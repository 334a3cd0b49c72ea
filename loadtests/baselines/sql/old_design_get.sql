-- Purpose: the popups of a user in a placement, as the old design asks for them: one statement on the replica.
-- Parameters: $1 text, the user; $2 text, the placement; $3 integer, the most popups.
-- Locks: none beyond ACCESS SHARE.
SELECT c.popup
FROM old_design.campaigns AS c
LEFT JOIN old_design.campaigns_targets AS t ON t.user_id = $1 AND t.campaign_id = c.id
WHERE c.placement = $2
    AND c.status = 'live'
    AND (c.starts_at IS NULL OR c.starts_at <= now())
    AND (c.ends_at IS NULL OR c.ends_at > now())
    AND (c.audience = 'everyone' OR t.user_id IS NOT NULL)
    AND NOT EXISTS (
        SELECT
        FROM old_design.campaign_caps AS p
        WHERE p.campaign_id = c.id
            AND p.cap_limit <= (
                SELECT count(*)
                FROM old_design.impressions AS i
                WHERE i.user_id = $1
                    AND i.campaign_id = c.id
                    AND i.shown_at > coalesce(now() - p.cap_window, '-infinity')
            )
    )
ORDER BY c.priority, c.id
LIMIT $3
