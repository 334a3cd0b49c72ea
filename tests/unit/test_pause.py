"""What the pause drill takes for late, and for a campaign that has come back."""

from tests.adversity.drills.pause import Watched


def watched(*answers: tuple[float, float, bool]) -> Watched:
    """Of answers as they come: asked at, answered at, with the campaign."""
    one = Watched()
    for asked_at, answered_at, shown in answers:
        one.note(asked_at, answered_at, shown=shown)
    return one


def test_an_answer_that_was_under_way_is_late_and_no_return() -> None:
    found = watched((0.0, 1.0, True), (1.0, 2.0, False), (1.5, 3.0, True), (3.0, 4.0, False))
    assert (found.last_with, found.first_without, found.answers_without, found.came_back) == (3.0, 2.0, 2, 0)


def test_an_answer_that_was_asked_for_after_one_without_the_campaign_is_a_return() -> None:
    assert watched((1.0, 2.0, False), (2.5, 3.0, True), (3.0, 3.5, True)).came_back == 2
