"""What came of a campaign: from what the merge has counted, never from the log or from users' counts."""
