-- Purpose: two uploads to one campaign are applied one after the other.
-- Parameters: $1 campaign id.
-- Locks: advisory (0x6175 "au", campaign id) until commit.
SELECT pg_advisory_xact_lock(24949, $1::integer)
