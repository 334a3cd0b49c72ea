"""Keeping budgets: leases and uses of the hard ones on the primary, what is spent of the soft ones.

The pure part, which serving asks, is `api.campaigns.budget`. Why it is safe: docs/decisions/0014.
"""
