-- Purpose: end the leases whose popups can't be confirmed any more: what was used is spent, the rest is free.
--   A lease that is being used at this moment is left for the next time.
-- Parameters: $1 integer, the campaign. The caller holds its account.
-- Locks: the leases' rows, without waiting; the days' rows of budget_spent.
WITH closed AS (
    DELETE FROM budget_leases
    WHERE id IN (
        SELECT l.id
        FROM budget_leases AS l
        WHERE l.campaign_id = $1 AND l.close_at <= clock_timestamp()
        FOR UPDATE SKIP LOCKED
    )
    RETURNING day, used
)
INSERT INTO budget_spent AS s (campaign_id, day, units)
SELECT $1, day, sum(used)
FROM closed
GROUP BY day
HAVING sum(used) > 0
ORDER BY day
ON CONFLICT (campaign_id, day) DO UPDATE SET units = s.units + excluded.units
