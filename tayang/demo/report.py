"""What a demo prints at its end."""

import json
from dataclasses import asdict, dataclass
from typing import Any, Final, TextIO

from rich.console import Console

from tayang.demo.checks import Check
from tayang.demo.day import PLACEMENTS
from tayang.demo.display import campaign_table
from tayang.demo.ledger import Ledger

_ROWS_MAX: Final = 1000
_FILE_COLUMNS: Final = 100


@dataclass(frozen=True)
class Report:
    users: int
    seed: int
    seconds: float
    stopped: bool  # before its time, by a signal
    ledger: Ledger
    checks: list[Check]

    @property
    def passed(self) -> bool:
        return all(check.passed for check in self.checks)

    def print(self, stream: TextIO, *, as_json: bool) -> None:
        if as_json:
            stream.write(json.dumps(self.as_dict()) + "\n")
            return
        console = Console(file=stream, highlight=False, markup=False)
        if not console.is_terminal:
            console.width = _FILE_COLUMNS
        console.print(campaign_table(self.ledger, console.width, _ROWS_MAX))
        console.print(self._summary())
        for check in self.checks:
            style = "green" if check.passed else "bold red"
            console.print("ok     " if check.passed else "FAILED ", end="", style=style)
            console.print(f"{check.name}{': ' if check.detail else ''}{check.detail}")

    def as_dict(self) -> dict[str, Any]:
        ledger = self.ledger
        return {
            "users": self.users,
            "seconds": round(self.seconds, 3),
            "seed": self.seed,
            "stopped": self.stopped,
            "openings": ledger.openings,
            "served": ledger.total("served"),
            "shown": ledger.total("shown"),
            "capped": ledger.total("capped"),
            "sent_later": ledger.sent_later,
            "sent_twice": ledger.sent_twice,
            "errors": dict(ledger.errors),
            "campaigns": [
                {
                    "campaign": key,
                    "placement": each.placement,
                    "caps": [{"limit": limit, "window": window} for limit, window in each.caps],
                    "served": each.served,
                    "shown": each.shown,
                    "capped": each.capped,
                    "cooling_down": each.cooling_down,
                }
                for key, each in ledger.listed(PLACEMENTS)
            ],
            "checks": [asdict(check) for check in self.checks],
            "passed": self.passed,
        }

    def _summary(self) -> str:
        ledger = self.ledger
        return (
            f"{'Stopped early. ' if self.stopped else ''}{self.users} users opened the app "
            f"{ledger.openings:,} times in {self.seconds:.0f} s (seed {self.seed}): "
            f"{ledger.total('served'):,} popups served, {ledger.total('shown'):,} shown, "
            f"{ledger.sent_later:,} of them told later by phones that had no signal; "
            f"{ledger.sent_twice:,} sent twice, their answers being lost; "
            f"{ledger.total('capped'):,} times a cap kept a campaign away."
        )
