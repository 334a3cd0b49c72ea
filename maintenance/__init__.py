"""Owner of the schema: migrations, the merge, partitions and retention."""
