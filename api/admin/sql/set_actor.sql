-- Purpose: for whom this connection works, until it goes back to the pool: the audit log's `actor`.
-- Parameters: $1 text, the id of the key, or how the caller is known otherwise.
-- Locks: none.
SELECT set_config('tayang.actor', $1, false)
