"""The endpoints of the mobile app, and those of the operators."""
