"""What Tayang is compared with: the old design in plain SQL, the same on Redis, and a bare handler.

Each is small, and tuned as whoever runs it would tune it. They answer the same requests as Tayang does, with
the same number of popups, from the same data. They do less: no targeting, no signed tokens, no idempotency.
"""
