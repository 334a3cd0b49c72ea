-- Purpose: hand out units. Whatever is leased counts as spent, so the limits hold whoever dies. The fewer are left,
--   the fewer at once: half of them, shared among the processes that hold any.
-- Parameters: $1 integer, the campaign; $2 integer, its version: with another one nothing is handed out;
--   $3 bigint, the instance; $4 date, the day in the campaign's zone; $5 integer, units at most;
--   $6 interval, after which the lease may be closed. The caller holds the account.
-- Locks: none beyond the new row.
-- Returns the lease, or no row if nothing is left.
WITH leased AS (
    SELECT
        coalesce(sum(l.units), 0) AS ever,
        coalesce(sum(l.units) FILTER (WHERE l.day = $4), 0) AS that_day,
        count(DISTINCT l.instance) FILTER (WHERE l.instance <> $3) + 1 AS holders
    FROM budget_leases AS l
    WHERE l.campaign_id = $1
),
spent AS (
    SELECT
        coalesce(sum(s.units), 0) AS ever,
        coalesce(sum(s.units) FILTER (WHERE s.day = $4), 0) AS that_day
    FROM budget_spent AS s
    WHERE s.campaign_id = $1
),
free AS (
    SELECT
        leased.holders,
        -- least() passes over a limit that is not set.
        least(
            (c.budget ->> 'total')::bigint - spent.ever - leased.ever,
            (c.budget ->> 'per_day')::bigint - spent.that_day - leased.that_day
        ) AS units
    FROM campaigns AS c
    CROSS JOIN leased
    CROSS JOIN spent
    WHERE c.id = $1 AND c.version = $2 AND c.status = 'live' AND (c.budget ->> 'hard')::boolean
)
INSERT INTO budget_leases (campaign_id, day, instance, units, close_at)
SELECT $1, $4, $3, least($5, ceil(free.units / (2.0 * free.holders))), clock_timestamp() + $6::interval
FROM free
WHERE free.units > 0
RETURNING id, units
