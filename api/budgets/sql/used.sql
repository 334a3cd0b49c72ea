-- Purpose: which of these impressions have spent a unit.
-- Parameters: $1 uuid[], the impressions.
-- Locks: none beyond ACCESS SHARE.
SELECT impression_id FROM budget_uses WHERE impression_id = ANY ($1::uuid[])
