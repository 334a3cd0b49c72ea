-- Purpose: is this server a primary, and on which timeline? Each promotion begins a higher one. Timelines
--   compare only between servers that come from one initdb, which have the same system identifier.
-- Parameters: none.
-- Locks: none. Its functions are PUBLIC's by default.
SELECT
    system_identifier,
    CASE
        WHEN NOT pg_is_in_recovery() THEN left(pg_walfile_name(pg_current_wal_lsn()), 8)
    END AS timeline
FROM pg_control_system()
