-- Purpose: a page of the audit log, the newest entry first.
-- Parameters: $1 bigint, the id before which it begins, or null; $2 integer, rows; $3 text, the actor, or null;
--   $4 text, the kind, or null; $5 text, the subject, or null; $6 timestamptz, the earliest moment, or null.
-- Locks: none beyond ACCESS SHARE.
SELECT id, at, actor, kind, subject, action, before, after
FROM audit_log
WHERE
    ($1::bigint IS NULL OR id < $1)
    AND ($3::text IS NULL OR actor = $3)
    AND ($4::text IS NULL OR kind = $4)
    AND ($5::text IS NULL OR subject = $5)
    AND ($6::timestamptz IS NULL OR at >= $6)
ORDER BY id DESC
LIMIT $2
