"""Python's collection of cyclic garbage: it stops a process for as long as it looks at all that there is."""

import gc
from typing import Final

#: New objects, net, until the youngest are looked at; how often those, until the middle ones; and so for all.
#: A request leaves hardly any cycles: what has to go does so by its reference count.
_THRESHOLDS: Final = (2_000, 20, 100)


def collect_seldom() -> None:
    """What is here now is never looked at again: modules, models, a catalog. What comes later, seldom."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(*_THRESHOLDS)
