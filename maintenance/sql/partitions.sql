-- Purpose: the partitions of a RANGE partitioned table with their bounds, in order.
-- Parameters: $1 text, the table.
-- Locks: none beyond ACCESS SHARE on the catalogs.
SELECT
    c.relname AS name,
    (regexp_match(b.bound, $re$FROM \('([^']+)'\)$re$))[1] AS lower,
    (regexp_match(b.bound, $re$TO \('([^']+)'\)$re$))[1] AS upper,
    i.inhdetachpending AS detaching
FROM pg_inherits AS i
INNER JOIN pg_class AS c ON c.oid = i.inhrelid
CROSS JOIN LATERAL pg_get_expr(c.relpartbound, c.oid) AS b (bound)
WHERE i.inhparent = to_regclass($1)
ORDER BY lower
