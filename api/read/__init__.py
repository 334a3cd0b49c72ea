"""Reading what a choice of popups needs, in batches, from the replica or, failing that, the primary."""
