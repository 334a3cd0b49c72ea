"""The oracle against a real service: admin API, POST, COPY, merge, replica and GET in between.

Only the clock of the service's handlers is a stub, so that times can be met to the microsecond.
"""
