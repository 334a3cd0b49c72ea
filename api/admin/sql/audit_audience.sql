-- Purpose: note in the audit log that an audience was changed, in the transaction of the change.
-- Parameters: $1 integer, the campaign's id; $2 text, the mode; $3 jsonb as text, before; $4 jsonb as text, after.
-- Locks: none beyond ROW EXCLUSIVE on audit_log.
INSERT INTO audit_log (actor, kind, subject, action, before, after)
SELECT audit_actor(), 'audience', c.key, $2::text, $3::text::jsonb, $4::text::jsonb
FROM campaigns AS c
WHERE c.id = $1
