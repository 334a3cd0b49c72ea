-- Purpose: take a user out of audience uploads that are under way; a last line that was cut is left (docs/decisions/0029).
-- Parameters: $1 text, the user.
-- Locks: row locks on parts that name him.
UPDATE audience_upload_parts
-- As text for COPY: backslashes are doubled.
SET user_ids = array_to_string(array_remove(string_to_array(user_ids, E'\n'), replace($1, '\', '\\')), E'\n')
WHERE position(replace($1, '\', '\\') IN user_ids) > 0
