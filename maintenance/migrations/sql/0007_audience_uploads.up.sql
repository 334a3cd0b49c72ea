-- Purpose: audience uploads that any process can go on with after a lost connection or a restart.
-- Locks: SHARE ROW EXCLUSIVE on campaigns, for the foreign key, for a moment.

-- `reader` is where the reading of lines stands (api/admin/audience_lines.py): a line may be cut by the end of a part.
-- `result` is null until the upload is applied; kept until it expires, for a client that lost the answer.
CREATE TABLE audience_uploads (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    campaign_id integer NOT NULL REFERENCES campaigns,
    mode text NOT NULL CHECK (mode IN ('replace', 'add', 'remove')),
    file_bytes bigint CHECK (file_bytes >= 0),
    received_bytes bigint NOT NULL DEFAULT 0 CHECK (received_bytes >= 0),
    crc32 bigint NOT NULL DEFAULT 0,
    reader jsonb NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    expires_at timestamptz NOT NULL,
    result jsonb
);
CREATE INDEX audience_uploads_campaign_id ON audience_uploads (campaign_id);

-- The user ids of some 1 MiB of the file, a line each: a row for each id would cost several times the WAL and
-- leave a million dead rows. Not compressed: that would take a core from the merge for as long as the upload comes.
CREATE TABLE audience_upload_parts (
    upload_id uuid NOT NULL REFERENCES audience_uploads ON DELETE CASCADE,
    end_bytes bigint NOT NULL,
    user_ids text NOT NULL,
    PRIMARY KEY (upload_id, end_bytes)
);
ALTER TABLE audience_upload_parts ALTER COLUMN user_ids SET STORAGE EXTERNAL;
