"""A client that openapi-python-client makes of the document, and what it is to do."""
