-- Purpose: tables that were partitions (by their names) and are none now: a run ended before their DROP.
-- Parameters: $1 text, the partitioned table.
-- Locks: none beyond ACCESS SHARE on the catalogs.
SELECT c.relname AS name
FROM pg_class AS c
INNER JOIN pg_class AS parent ON parent.oid = to_regclass($1) AND parent.relnamespace = c.relnamespace
WHERE c.relkind = 'r'
    AND c.relname ~ ('^' || $1 || '_[0-9]{6,8}$')
    AND NOT c.relispartition
ORDER BY c.relname
