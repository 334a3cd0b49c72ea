"""Load from outside: it speaks HTTP and SQL, starts `tayang` commands, and imports nothing of the service."""
