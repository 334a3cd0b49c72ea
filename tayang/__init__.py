"""The front door: the `tayang` command, the settings, and the embedded PostgreSQL for development."""
