-- Purpose: API keys with scopes; the audit log.
-- Locks: SHARE ROW EXCLUSIVE on campaigns, policy and test_users, for their triggers, for a moment.

-- Scopes are checked where they are used (api/access/table.py): a new one needs no migration.
CREATE TABLE api_keys (
    id text COLLATE "C" PRIMARY KEY CHECK (id ~ '^[0-9a-f]{12}$'),
    name text NOT NULL,
    scopes text[] NOT NULL CHECK (cardinality(scopes) > 0),
    created_at timestamptz NOT NULL DEFAULT now(),
    expires_at timestamptz,
    rotated_at timestamptz,
    revoked_at timestamptz
);

-- What a key is recognised by: SHA-256 of the whole text. After a rotation the older ones go on for a while.
CREATE TABLE api_key_secrets (
    hash bytea PRIMARY KEY CHECK (length(hash) = 32),
    key_id text COLLATE "C" NOT NULL REFERENCES api_keys,
    created_at timestamptz NOT NULL DEFAULT now(),
    expires_at timestamptz
);
CREATE INDEX api_key_secrets_key_id ON api_key_secrets (key_id);

-- Another value with each change: every process looks here several times a second. Random, not counted: after
-- a failover that loses a change, a number could come again with another meaning.
CREATE TABLE api_key_stamp (
    only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    stamp uuid NOT NULL DEFAULT gen_random_uuid()
) WITH (fillfactor = 50);
INSERT INTO api_key_stamp DEFAULT VALUES;
CREATE FUNCTION change_api_key_stamp() RETURNS trigger
LANGUAGE plpgsql AS $$
BEGIN
    UPDATE api_key_stamp SET stamp = gen_random_uuid();
    RETURN NULL;
END
$$;
CREATE TRIGGER api_keys_change_stamp
AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON api_keys
FOR EACH STATEMENT EXECUTE FUNCTION change_api_key_stamp();
CREATE TRIGGER api_key_secrets_change_stamp
AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON api_key_secrets
FOR EACH STATEMENT EXECUTE FUNCTION change_api_key_stamp();

-- Who changed what, and when: written by triggers, in the transaction of the change. Append-only by grants
-- (docs/operations.md): the service's role may add rows and read them, and nothing else.
CREATE TABLE audit_log (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at timestamptz NOT NULL DEFAULT now(),
    actor text NOT NULL,
    kind text NOT NULL CHECK (kind IN ('campaign', 'audience', 'policy', 'test_user', 'key')),
    subject text NOT NULL,
    action text NOT NULL,
    before jsonb,
    after jsonb
);
CREATE INDEX audit_log_kind_subject ON audit_log (kind, subject, id);
CREATE INDEX audit_log_actor ON audit_log (actor, id);

-- Of whom the session says that it works for him (api/admin/database.py); else who is logged in to the database.
CREATE FUNCTION audit_actor() RETURNS text
LANGUAGE sql STABLE AS $$
    SELECT coalesce(nullif(current_setting('tayang.actor', true), ''), 'role:' || session_user)
$$;

-- The arguments: the kind, and the column that names the subject ('' : there is one only). Of an update the
-- fields that changed. A test user is named by a hash, and not in the documents: an erased user leaves no trace.
CREATE FUNCTION audit_change() RETURNS trigger
LANGUAGE plpgsql AS $$
DECLARE
    old_row jsonb := CASE WHEN TG_OP <> 'INSERT' THEN to_jsonb(OLD) END;
    new_row jsonb := CASE WHEN TG_OP <> 'DELETE' THEN to_jsonb(NEW) END;
    subject text := coalesce(coalesce(new_row, old_row) ->> TG_ARGV[1], TG_ARGV[0]);
    old_fields jsonb := old_row - 'updated_at';
    new_fields jsonb := new_row - 'updated_at';
BEGIN
    IF TG_ARGV[0] = 'test_user' THEN
        subject := left(encode(sha256(convert_to(subject, 'UTF8')), 'hex'), 16);
        old_fields := old_fields - 'user_id';
        new_fields := new_fields - 'user_id';
    END IF;
    IF TG_OP = 'UPDATE' THEN
        IF old_fields = new_fields THEN
            RETURN NULL;
        END IF;
        SELECT jsonb_object_agg(o.key, o.value), jsonb_object_agg(o.key, new_fields -> o.key)
        INTO old_fields, new_fields
        FROM jsonb_each(old_fields) AS o
        WHERE new_fields -> o.key IS DISTINCT FROM o.value;
    END IF;
    INSERT INTO audit_log (actor, kind, subject, action, before, after)
    VALUES (audit_actor(), TG_ARGV[0], subject, lower(TG_OP), old_fields, new_fields);
    RETURN NULL;
END
$$;
CREATE TRIGGER campaigns_audited AFTER INSERT OR UPDATE OR DELETE ON campaigns
FOR EACH ROW EXECUTE FUNCTION audit_change('campaign', 'key');
CREATE TRIGGER policy_audited AFTER INSERT OR UPDATE OR DELETE ON policy
FOR EACH ROW EXECUTE FUNCTION audit_change('policy', '');
CREATE TRIGGER test_users_audited AFTER INSERT OR UPDATE OR DELETE ON test_users
FOR EACH ROW EXECUTE FUNCTION audit_change('test_user', 'user_id');
CREATE TRIGGER api_keys_audited AFTER INSERT OR UPDATE OR DELETE ON api_keys
FOR EACH ROW EXECUTE FUNCTION audit_change('key', 'id');
