"""The write buffer: impressions wait here until the database has merged them.

One list serves three uses: the write queue, the overlay that makes caps exact at once, and the
retransmission buffer that makes an UNLOGGED table safe against a crash of the database.
"""
