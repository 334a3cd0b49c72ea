"""`python -m loadtests.capacity measure|predict|plan`: what a rate needs, and how far to believe it.

`measure` starts services of its own for some ten minutes and writes what it saw as JSON. `predict` fits the
model to some of its points, and compares it with the others. `plan` says what a rate would need, and where
one primary ends. Exit code 0: done, or all figures within 20 %; 1: it went wrong; 2: the arguments;
3 (predict): a figure deviates by more than 20 %; 4 (plan): one primary does not serve the rate;
130: interrupted.
"""

import argparse
import json
import signal
import sys
from dataclasses import asdict
from typing import Final

import psycopg

from loadtests.capacity.fit import fit
from loadtests.capacity.measure import Extent, measure
from loadtests.capacity.options import options
from loadtests.capacity.page import write
from loadtests.capacity.plan import Wanted, needs
from loadtests.capacity.points import Measured
from loadtests.capacity.predict import compare
from loadtests.capacity.told import told_comparison, told_needs
from loadtests.generator import LoadError
from loadtests.progress import Progress
from loadtests.service import BenchError

_DEVIATES: Final = 3
_TOO_MUCH: Final = 4
_INTERRUPTED: Final = 130
_QUICK_SECONDS: Final = 0.3


def main() -> int:
    """The exit code of the module's first lines."""
    arguments = options(__doc__)
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # stop in order, as after Ctrl-C
    progress = Progress()
    try:
        return int(_COMMANDS[arguments.what](arguments, progress))
    except (BenchError, LoadError, psycopg.Error, OSError) as error:
        progress.say(f"failed: {error}")
        return 1
    except KeyboardInterrupt:
        progress.say("interrupted; everything was stopped")
        return _INTERRUPTED


def _measure(arguments: argparse.Namespace, progress: Progress) -> int:
    extent = Extent(
        # The fit needs one and two.
        workers=sorted({1, 2, *(arguments.workers or (() if arguments.quick else (4,)))}),
        rounds=1 if arguments.quick else arguments.rounds,
        seconds=_QUICK_SECONDS if arguments.quick else arguments.seconds,
        quick=arguments.quick,
    )
    measured = measure(extent, progress)
    arguments.file.parent.mkdir(parents=True, exist_ok=True)
    measured.write(arguments.file)
    progress.say(f"written: {arguments.file}")
    return 0


def _predict(arguments: argparse.Namespace, progress: Progress) -> int:
    measured = Measured.read(arguments.file)
    model = fit(measured)
    found = compare(model, measured)
    if arguments.write is not None:
        write(arguments.write, measured, model, found)
        progress.say(f"written: {arguments.write}")
    if arguments.json:
        print(json.dumps({"model": asdict(model), "comparisons": [
            {**asdict(each), "deviation": each.deviation, "within": each.within} for each in found
        ]}))  # fmt: skip
    else:
        print(told_comparison(found))
    return 0 if all(each.within for each in found) else _DEVIATES


def _plan(arguments: argparse.Namespace, progress: Progress) -> int:
    del progress
    wanted = Wanted(**{name: value for name, value in vars(arguments).items() if name in Wanted.names()})
    found = needs(fit(Measured.read(arguments.file)), wanted)
    print(json.dumps(found.as_dict()) if arguments.json else told_needs([found]))
    return 0 if found.fits else _TOO_MUCH


_COMMANDS: Final = {"measure": _measure, "predict": _predict, "plan": _plan}

if __name__ == "__main__":
    sys.exit(main())
