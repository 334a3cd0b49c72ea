"""Users' JWTs: which keys verify them, where the keys come from, and what a token must say."""
