-- Purpose: switch the many campaigns on or off at once.
-- Parameters: status, the new one; prefix, of their keys.
-- Locks: their rows, and catalog_version's, until commit.
UPDATE campaigns
SET status = %(status)s, version = version + 1, updated_at = now()
WHERE starts_with(key, %(prefix)s)
