-- Purpose: end the sessions of the suspended maintenance process, so that its duties' locks are free.
-- Locks: none.
SELECT pg_terminate_backend(l.pid, 5000)
FROM pg_locks AS l
WHERE l.locktype = 'advisory' AND l.granted
