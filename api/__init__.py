"""The HTTP service: popups, impressions, and the admin API."""
