"""`make chaos`: attackers of real processes, and an audit of every impression (docs/decisions/0013)."""
