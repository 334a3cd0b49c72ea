-- Purpose: delete audience uploads that nobody has gone on with, and what is left of those that were applied.
-- Parameters: none; the database's clock, by which they expire.
-- Locks: the deleted rows.
DELETE FROM audience_uploads WHERE expires_at <= now()
