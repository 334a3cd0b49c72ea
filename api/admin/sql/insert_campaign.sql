-- Purpose: a new campaign.
-- Parameters: $1…$21 the fields in the order of the columns below, which is CampaignIn's.
-- Locks: catalog_version's row until commit, through the trigger.
INSERT INTO campaigns (
    key, name, status, priority, placement, starts_at, ends_at, timezone, schedule, schedule_timezone,
    audience, targeting, caps, cooldown, stop_after, tags, exempt, counts_for_policy, budget,
    holdout_percent, variants
) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21)
RETURNING *
