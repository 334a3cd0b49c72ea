"""What the api processes tell each other: events that no merge has made visible yet."""
