"""What a report says of the machine."""

import platform
import sys

import pytest

from loadtests import machine


def test_the_command_names_no_folder_of_the_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    arguments = ["measure", "--file", "/home/ani/docs/capacity.json", "--report=/srv/x.md", "docs/here.md"]
    monkeypatch.setattr(sys, "argv", ["capacity", *arguments])
    told = machine.describe("18.6", (0.0, 0.0, 0.0), "loadtests.capacity")["command"]
    assert told == "python -m loadtests.capacity measure --file capacity.json --report=x.md docs/here.md"


def test_the_interpreter_is_told_with_its_speed() -> None:
    """One built without profiles makes every ratio to what is written in C worse."""
    version, _, speed = machine.describe("18.6", (0.0, 0.0, 0.0))["python"].partition(" (")
    assert version == platform.python_version()
    assert float(speed.partition(" million")[0]) > 0
