-- Purpose: the tick and the watermarks are found as fast while a report holds a snapshot open (docs/decisions/0039):
-- each change of such a row is a new key, and whoever asks for the highest one meets the newest version first, where
-- with a key that stays the same all versions since the snapshot were in the way. There is still one row: of the
-- table in merge_ticks, of each instance in buffer_watermarks. The merge, of which there is one at a time, sees to it.
-- Locks: the merge's turn; ACCESS EXCLUSIVE on both tables, a moment.
SELECT pg_advisory_xact_lock(x'0000746179610001'::bigint);

ALTER TABLE merge_ticks DROP COLUMN only_row, ADD PRIMARY KEY (tick);

ALTER TABLE buffer_watermarks DROP CONSTRAINT buffer_watermarks_pkey, ADD PRIMARY KEY (instance, seq);
