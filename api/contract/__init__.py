"""The contract: every route described once, as OpenAPI for programs and as a page for people."""
