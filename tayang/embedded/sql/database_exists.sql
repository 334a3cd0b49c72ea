-- Purpose: is the application's database there?
-- Parameters: none.
-- Locks: none.
SELECT EXISTS (SELECT FROM pg_database WHERE datname = 'tayang');
