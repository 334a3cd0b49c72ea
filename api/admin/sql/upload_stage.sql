-- Purpose: the user ids of all parts, and of a last line without a line end, into the session's own table.
-- Parameters: $1 id, $2 the last line's id as text for COPY, or nothing. In such text, backslashes are doubled.
-- Locks: reads only.
INSERT INTO pg_temp.audience_upload (user_id)
SELECT named.user_id
FROM (
    SELECT user_ids FROM audience_upload_parts WHERE upload_id = $1
    UNION ALL
    SELECT $2::text WHERE $2::text <> ''
) AS part,
    unnest(string_to_array(replace(rtrim(part.user_ids, E'\n'), '\\', '\'), E'\n')) AS named (user_id)
