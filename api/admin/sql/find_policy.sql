-- Purpose: the policy.
-- Parameters: none.
-- Locks: reads only.
SELECT document, version, updated_at
FROM policy
