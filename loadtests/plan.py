"""How much of what the benchmark does. `QUICK` only shows that it works: its figures mean nothing."""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Plan:
    """`users` have counts, JWTs and tokens; the merge part adds users with counts up to `merge_users`."""

    connections: int
    curve: tuple[int, ...]  # connections of each point of the curves
    curve_seconds: float  # of each point
    users: int
    rounds: int
    warm_up_seconds: float
    measure_seconds: float
    merge_users: int
    merge_rows: int
    merges: int  # of each kind


FULL = Plan(
    connections=64,
    curve=(1, 2, 4, 8, 16, 32, 64, 128),
    curve_seconds=2.0,
    users=100_000,
    rounds=5,
    warm_up_seconds=1.0,
    measure_seconds=5.0,
    merge_users=500_000,
    merge_rows=10_000,
    merges=10,
)
QUICK = Plan(
    connections=8,
    curve=(4,),
    curve_seconds=0.1,
    users=1_500,
    rounds=1,
    warm_up_seconds=0.1,
    measure_seconds=0.2,
    merge_users=2_000,
    merge_rows=500,
    merges=1,
)

#: Counted campaigns of each user.
ROWS_A_USER = 10
