-- Purpose: let no other change in until commit: of two that both see one place left, one would be too many.
-- Parameters: none.
-- Locks: SHARE ROW EXCLUSIVE on test_users; readers are not held up.
LOCK TABLE test_users IN SHARE ROW EXCLUSIVE MODE
