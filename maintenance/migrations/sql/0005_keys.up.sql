-- Purpose: API keys with scopes.
-- Locks: none but on what is made here.

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
