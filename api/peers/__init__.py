"""What the api processes tell each other: impressions that no merge has made visible yet."""
