"""The load test in Locust: phones of a shop's app against a whole service; started by `loadtests.load`.

Only `phones`, `shape` and `__main__` import Locust, which patches the standard library.
"""
