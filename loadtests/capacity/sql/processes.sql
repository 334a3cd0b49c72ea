-- Purpose: the server's processes whose CPU time the capacity model tells apart: process id, and what it is.
--   The rest of the server is whatever is left of its CPU time.
-- Locks: none.
SELECT
    a.pid,
    CASE
        WHEN a.backend_type = 'startup' THEN 'replay'
        WHEN a.application_name = 'tayang merge' THEN 'merge'
        WHEN a.application_name LIKE 'tayang flusher%' THEN 'copy'
        ELSE 'readers'
    END AS part
FROM pg_stat_activity AS a
WHERE
    a.backend_type = 'startup'
    OR (
        a.backend_type = 'client backend' AND a.application_name LIKE 'tayang %'
        AND (
            pg_is_in_recovery()
            OR a.application_name = 'tayang merge'
            OR a.application_name LIKE 'tayang flusher%'
        )
    )
