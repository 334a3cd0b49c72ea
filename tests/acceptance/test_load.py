"""The load test works from nothing, and cleans up. How fast it was is never judged here: machines differ."""

import asyncio
import json
import os
import sys
from pathlib import Path

from loadtests.locust.gates import LATENCY, RATE
from tests.acceptance.test_bench import ROOT, directory, left_in, names_in  # noqa: F401  (a fixture)


async def test_a_short_load_is_reconciled_and_reported(directory: Path) -> None:  # noqa: F811
    command = ["-m", "loadtests.load", "--seconds", "4", "--rate", "300", "--counted-users", "200", "--json"]
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *command,
        "--directory",
        str(directory / "report"),
        cwd=ROOT,
        env=os.environ | {"TMPDIR": str(directory)},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    output, progress = await asyncio.wait_for(process.communicate(), 100)

    assert process.returncode in {0, RATE, LATENCY}, progress.decode()
    report = json.loads(output)
    assert report["exit_code"] == process.returncode
    account = report["account"]
    assert account["acknowledgements"] > account["acknowledged"] > 50, "resenders were there, too"
    assert account["acknowledged"] == account["logged"] == account["counted"]
    assert account["caps_checked"] > 50
    assert {"GET popups home", "POST impression", "POST interaction"} <= set(report["stages"][0]["names"])
    assert json.loads((directory / "report" / "report.json").read_text()) == report
    assert "Locust" in (directory / "report" / "report.html").read_text()
    assert not (directory / "report" / "order.json").exists(), "it holds a secret"
    assert left_in(directory) == []
    assert names_in(directory) == ["report"]
