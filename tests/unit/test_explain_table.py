"""What `tayang explain` prints on a terminal, wide and narrow."""

from io import StringIO
from typing import Any

from rich.console import Console

from tayang.explain_table import _table

CAMPAIGNS: list[dict[str, Any]] = [
    {
        "campaign": "sale",
        "verdict": "shown",
        "rank": 1,
        "variant": "a",
        "counts": {"impressions": 1_200},
        "reasons": [],
        "again_from": None,
        "order": {"why": "no other comes after it"},
    },
    {
        "campaign": "news",
        "verdict": "capped",
        "rank": None,
        "variant": None,
        "counts": None,
        "reasons": [{"code": "capped", "text": "shown 3 times"}, {"code": "paced", "text": "ahead"}],
        "again_from": {"local": "2026-11-23 00:00 WIB"},
        "order": None,
    },
]


def drawn(width: int) -> str:
    stream = StringIO()
    Console(file=stream, width=width, force_terminal=True, color_system=None).print(_table(CAMPAIGNS, width))
    return stream.getvalue()


def test_a_row_for_each_campaign_and_a_line_for_each_reason() -> None:
    text = drawn(120)
    for part in ("sale", "shown", "1,200", "no other comes after it", "capped", "shown 3 times"):
        assert part in text
    assert "also paced: ahead" in text
    assert "all of it passes from 2026-11-23 00:00 WIB" in text


def test_a_narrow_terminal_keeps_the_verdict_and_the_reason() -> None:
    text = drawn(60)
    assert "1,200" not in text
    assert "shown 3 times" in text
    assert all(len(line) <= 60 for line in text.splitlines())
