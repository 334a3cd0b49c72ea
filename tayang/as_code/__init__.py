"""Campaigns as code: the catalog of a service as files in a repository, and back."""
