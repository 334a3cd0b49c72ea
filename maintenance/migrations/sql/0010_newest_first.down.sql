-- Purpose: back to keys that stay the same.
-- Locks: the merge's turn; ACCESS EXCLUSIVE on both tables, a moment.
SELECT pg_advisory_xact_lock(x'0000746179610001'::bigint);

ALTER TABLE buffer_watermarks DROP CONSTRAINT buffer_watermarks_pkey, ADD PRIMARY KEY (instance);

ALTER TABLE merge_ticks
    DROP CONSTRAINT merge_ticks_pkey,
    ADD COLUMN only_row boolean NOT NULL DEFAULT true CHECK (only_row),
    ADD PRIMARY KEY (only_row);
