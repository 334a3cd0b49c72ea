-- Purpose: uploads are opened one after the other, so that their limit holds.
-- Parameters: none.
-- Locks: advisory (0x6175 "au", 0: no campaign's id) until commit.
SELECT pg_advisory_xact_lock(24949, 0)
