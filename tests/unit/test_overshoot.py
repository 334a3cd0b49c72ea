"""How the overshoot drill counts."""

from tests.adversity.drills.overshoot import CAPS, Overshoot


def test_each_pair_of_user_and_campaign_is_counted_also_one_that_was_never_shown() -> None:
    found = Overshoot()

    found.add({"once": 1, "thrice": 5})

    assert CAPS == {"once": 1, "twice": 2, "thrice": 3}
    assert found.beyond == {0: 2, 2: 1}
    assert found.too_often == 2
