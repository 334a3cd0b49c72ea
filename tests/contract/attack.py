"""One round of schemathesis against a service, in a process of its own."""

import asyncio
import json
import os
import sys
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tests.contract.hooks import COUNTS_FILE

_HERE: Final = Path(__file__).parent
_ROOT: Final = _HERE.parents[1]

Counts = Counter[tuple[str, str, str]]


@dataclass(frozen=True)
class Outcome:
    """`counts` are requests by operation, status, and "named" or "nobody"."""

    passed: bool
    counts: Counts
    output: str

    @property
    def requests(self) -> int:
        return self.counts.total()


async def attack(
    url: str,
    directory: Path,
    *,
    seed: int,
    max_examples: int,
    key: str | None,
    jwt: str | None,
    phases: str = "examples,coverage,fuzzing,stateful",
    timeout_seconds: float = 3600.0,
) -> Outcome:
    """Without key and JWT as nobody. `directory` takes files. Raises TimeoutError."""
    counts = directory / f"counts-{seed}.json"
    arguments = [f"--seed={seed}", f"--max-examples={max_examples}", f"--phases={phases}", "--no-color"]
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-W", "ignore", "-m", "schemathesis.cli",
        "--config-file", str(_config(directory, key, jwt)), "run", f"{url}/openapi.json", *arguments,
        cwd=_ROOT, env={**os.environ, COUNTS_FILE: str(counts), "PYTHONPATH": str(_ROOT)},
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
    )  # fmt: skip
    try:
        output, _ = await asyncio.wait_for(process.communicate(), timeout_seconds)
    except TimeoutError:
        process.kill()
        await process.wait()
        raise
    text = output.decode(errors="replace")
    return Outcome(process.returncode == 0, _counts(counts), text)


def _config(directory: Path, key: str | None, jwt: str | None) -> Path:
    """The settings, and who calls."""
    secrets = {"apiKey": key, "userJwt": jwt}
    callers = [
        f"[auth.openapi.{name}]\nbearer = {json.dumps(text)}\n" for name, text in secrets.items() if text
    ]
    path = directory / "schemathesis.toml"
    path.write_text("\n".join([(_HERE / "schemathesis.toml").read_text(encoding="utf-8"), *callers]))
    return path


def _counts(path: Path) -> Counts:
    found: Counts = Counter()
    if path.exists():
        for operation, status, caller, number in json.loads(path.read_text(encoding="utf-8")):
            found[operation, status, caller] = number
    return found
