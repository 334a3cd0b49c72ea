-- Purpose: the units of leases for which no popup was served and none will be. Repeating it does no harm.
-- Parameters: $1 integer[], the leases; $2 integer[], how many popups were served with each.
-- Locks: the leases' rows, in order, while their uses are waited for.
WITH held AS MATERIALIZED (
    SELECT l.id, given.taken
    FROM budget_leases AS l
    INNER JOIN unnest($1::integer[], $2::integer[]) AS given (id, taken) ON given.id = l.id
    WHERE l.units > given.taken
    ORDER BY l.id
    FOR UPDATE OF l
)
UPDATE budget_leases AS l
SET units = greatest(held.taken, l.used)
FROM held
WHERE l.id = held.id
