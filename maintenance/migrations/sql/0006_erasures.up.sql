-- Purpose: who was erased, and up to which impressions: a later merge drops what is older (docs/decisions/0027).
-- Locks: ACCESS EXCLUSIVE on audit_log while its entries are checked against the new list of kinds.

-- Users are named by hashtextextended(user_id, secret): the merge computes it for each row that it takes, and a
-- cryptographic hash would show in its time.
CREATE TABLE erasure_secret (
    only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    secret bigint NOT NULL
);
-- 60 of a UUID's random bits: the first half has the version in it, as four that are known.
INSERT INTO erasure_secret (secret)
SELECT ('x' || left(replace(gen_random_uuid()::text, '-', ''), 16))::bit(64)::bigint;

-- Impressions of the user that were served before `before_id` (a UUIDv7) are dropped by the merge, wherever they
-- come from. `done_at`: nothing of the user was left in the log and the buffer.
CREATE TABLE erasures (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    user_hash bigint NOT NULL UNIQUE,
    erased_at timestamptz NOT NULL,
    before_id uuid NOT NULL,
    removed jsonb NOT NULL,
    done_at timestamptz
) WITH (fillfactor = 80);
CREATE INDEX erasures_open ON erasures (erased_at) WHERE done_at IS NULL;

-- The log tells by whom and when, and how much was there; not of whom.
ALTER TABLE audit_log
    DROP CONSTRAINT audit_log_kind_check,
    ADD CONSTRAINT audit_log_kind_check
    CHECK (kind IN ('campaign', 'audience', 'policy', 'test_user', 'key', 'erasure'));
CREATE FUNCTION audit_erasure() RETURNS trigger
LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO audit_log (actor, kind, subject, action, after)
    VALUES (audit_actor(), 'erasure', NEW.id::text, 'erase', NEW.removed);
    RETURN NULL;
END
$$;
CREATE TRIGGER erasures_audited_insert AFTER INSERT ON erasures
FOR EACH ROW EXECUTE FUNCTION audit_erasure();
CREATE TRIGGER erasures_audited_update AFTER UPDATE OF erased_at ON erasures
FOR EACH ROW EXECUTE FUNCTION audit_erasure();
