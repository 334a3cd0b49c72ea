"""The oracle and the engine on some hundred cases; `python -m tests.oracle` decides any number."""

from tests.oracle.cases import Case, random_case
from tests.oracle.compare import disagreements
from tests.oracle.coverage import rare
from tests.oracle.run import run
from tests.oracle.shrink import shrunk, written

_SEED = 1
_CASES = 600


def test_they_agree_and_every_rule_was_tried() -> None:
    played = run(seed=_SEED, cases=_CASES, jobs=1, progress=lambda _: None)
    assert played.failed is None, _smallest(played.failed)
    assert rare(played.coverage) == []


def test_cases_are_the_same_each_time_and_several_processes_play_the_same() -> None:
    assert random_case(3, 14) == random_case(3, 14) != random_case(3, 15)
    alone, several = (run(seed=3, cases=100, jobs=jobs, progress=lambda _: None) for jobs in (1, 2))
    assert (several.cases, several.coverage) == (alone.cases, alone.coverage)


def test_a_disagreement_is_shrunk_to_what_it_takes() -> None:
    case = next(
        case for case in map(_random_case, range(100)) if any(each["cooldown"] for each in case["campaigns"])
    )
    small = shrunk(case, lambda smaller: any(each["cooldown"] for each in smaller["campaigns"]))
    assert (len(small["campaigns"]), len(small["steps"])) == (1, 1)
    assert small["steps"][0]["events"] == small["campaigns"][0]["caps"] == small["policy"]["caps"] == []
    assert '"cooldown"' in written(small)
    assert '"caps": [],\n   ' not in written(small)


def _random_case(number: int) -> Case:
    return random_case(_SEED, number)


def _smallest(number: int) -> str:
    case = shrunk(random_case(_SEED, number), lambda smaller: bool(disagreements(smaller)))
    return "\n".join([*disagreements(case), written(case)])
