"""Who may do what: scopes, the table of permissions, API keys, and the guard before every handler."""
