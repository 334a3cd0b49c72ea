-- Purpose: tell the other api processes of events that are not merged yet.
-- Parameters: $1 text[], the payloads (api/peers/message.py).
-- Locks: the notification queue's, for the moment of the commit.
SELECT pg_notify('tayang_impressions', m.payload) FROM unnest($1::text[]) AS m (payload)
