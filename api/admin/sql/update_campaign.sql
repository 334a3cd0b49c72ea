-- Purpose: replace a campaign's fields, if it still is what the client has read.
-- Parameters: $1 id, $2 version read, $3…$23 the fields in the order of the columns below.
-- Locks: the campaign's row; catalog_version's row until commit, through the trigger.
UPDATE campaigns
SET (
    key, name, status, priority, placement, starts_at, ends_at, timezone, schedule, schedule_timezone,
    audience, targeting, caps, cooldown, stop_after, tags, exempt, counts_for_policy, budget,
    holdout_percent, variants,
    version, updated_at
) = (
    $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21, $22, $23,
    version + 1, now()
)
WHERE id = $1 AND version = $2
RETURNING *
