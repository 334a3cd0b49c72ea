"""Random interleavings of two api processes and a database, against a model: in memory, and on PostgreSQL."""
