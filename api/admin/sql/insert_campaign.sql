-- Purpose: a new campaign.
-- Parameters: $1…$15 the fields in the order of the columns below, which is CampaignIn's.
-- Locks: catalog_version's row until commit, through the trigger.
INSERT INTO campaigns (
    key, name, status, priority, placement, starts_at, ends_at, timezone, schedule,
    audience, targeting, caps, cooldown, budget, variants
) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15)
RETURNING *
