"""The oracle: decides like the engine, written from DESIGN's words alone, with no thought for speed.

It works on the documents of the admin API and on lists of single events, and imports nothing of `api`.
What is no rule but a hash (the order of equals, who is held out) is passed to it.
"""
