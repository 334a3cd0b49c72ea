"""What a user of the app does on one day: who they are, when they open what, when they have no signal."""

from collections.abc import Mapping
from dataclasses import dataclass
from random import Random
from typing import Final, Literal

Action = Literal["open", "lose signal", "have signal"]

#: Where the app asks for popups.
PLACEMENTS: Final = ("home", "checkout", "wallet", "ride")

_FIRST_HOUR: Final = 6.0
_LAST_HOUR: Final = 23.0
_JITTER_HOURS: Final = 0.6
_OFFLINE_SHARE: Final = 0.15
#: (hour, placement, share of the users who do it on this day)
_HABITS: Final = (
    (6.8, "home", 0.9),
    (7.0, "ride", 0.7),
    (8.2, "home", 0.5),
    (9.5, "wallet", 0.4),
    (10.3, "home", 0.6),
    (11.8, "home", 0.8),
    (12.0, "checkout", 0.7),
    (12.3, "wallet", 0.6),
    (13.5, "home", 0.5),
    (14.0, "checkout", 0.3),
    (15.5, "home", 0.4),
    (16.8, "wallet", 0.4),
    (17.2, "ride", 0.8),
    (18.0, "home", 0.7),
    (19.0, "home", 0.8),
    (19.3, "checkout", 0.6),
    (19.8, "wallet", 0.5),
    (20.5, "ride", 0.2),
    (21.0, "home", 0.7),
    (22.0, "checkout", 0.3),
)


@dataclass(frozen=True, order=True)
class Step:
    """`at` is when in the day: 0 is its start, 1 its end. `placement` is empty unless something is opened."""

    at: float
    action: Action
    placement: str = ""


@dataclass(frozen=True)
class Day:
    """`attributes` is what the phone tells with each request; `seed` decides the rest of the user's whims."""

    user_id: str
    attributes: Mapping[str, str]
    steps: tuple[Step, ...]
    seed: str


def day_of(number: int, seed: int) -> Day:
    """The day of user `number` (from 1). The same for the same seed."""
    whims = f"{seed}/{number}"
    random = Random(whims)  # noqa: S311  (a game, and it must be repeatable)
    steps = [
        Step(_at(hour + random.uniform(-_JITTER_HOURS, _JITTER_HOURS)), "open", placement)
        for hour, placement, share in _HABITS
        if random.random() < share
    ]
    if random.random() < _OFFLINE_SHARE:
        lost = random.uniform(8.0, 17.0)  # in the train, in the lift, in the mountains
        steps += [Step(_at(lost), "lose signal"), Step(_at(lost + random.uniform(1.5, 4.0)), "have signal")]
    return Day(f"demo-{number:03d}", _attributes(random), tuple(sorted(steps)), whims)


def _attributes(random: Random) -> dict[str, str]:
    """Of few different values, as in life."""
    visitor = random.random() < 0.08  # noqa: PLR2004  (a share)
    attributes = {
        "platform": random.choices(("android", "ios"), (80, 20))[0],
        "app_version": random.choices(("5.2.1", "5.2.0", "5.1.4", "4.9.0"), (55, 20, 15, 10))[0],
        "locale": random.choice(("en-US", "en-AU")) if visitor else "id-ID",
        "country": random.choices(("ID", "SG"), (95, 5))[0],
        "attr.tier": random.choices(("basic", "silver", "gold", "platinum"), (60, 25, 11, 4))[0],
        "attr.city": random.choices(("jakarta", "bandung", "surabaya", "makassar"), (45, 20, 20, 15))[0],
    }
    if not visitor:
        attributes["attr.trips_30d"] = str(random.choice((0, 2, 6, 12, 30)))
    return attributes


def _at(hour: float) -> float:
    return (min(max(hour, _FIRST_HOUR), _LAST_HOUR) - _FIRST_HOUR) / (_LAST_HOUR - _FIRST_HOUR)
