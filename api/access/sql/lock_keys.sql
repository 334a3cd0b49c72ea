-- Purpose: let no other change in until commit: of two that both see one place left, one would be too many.
-- Parameters: none.
-- Locks: the row of api_key_stamp until commit.
SELECT t.stamp FROM api_key_stamp AS t FOR UPDATE
