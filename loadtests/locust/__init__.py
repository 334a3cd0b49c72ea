"""The load test in Locust: phones of a shop's app against a whole service; started by `loadtests.load`.

Only `client`, `phone`, `phones`, `shape`, `ceiling` and `__main__` import Locust, which patches the standard
library.
"""
