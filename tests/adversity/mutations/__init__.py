"""Mutated requests over every route: each answer names what is wrong, and the service goes on."""
