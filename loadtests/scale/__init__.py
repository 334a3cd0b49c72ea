"""What a request costs as the data grow, and as api workers are added: `python -m loadtests.scale`."""
