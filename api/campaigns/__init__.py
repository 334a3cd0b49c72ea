"""What a campaign is and when a user may see it. Pure: no I/O, no clock of its own."""
