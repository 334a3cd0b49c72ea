"""Files of campaigns and of the policy: read, checked all together, written."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, TypeVar

from pydantic import BaseModel, ValidationError

from api.admin.validation import invalid_fields
from api.campaigns.model import CampaignIn
from api.campaigns.policy import PolicyIn

M = TypeVar("M", bound=BaseModel)

POLICY_FILE: Final = "policy.json"
CAMPAIGNS_FOLDER: Final = "campaigns"
#: A campaign has 20 variants of 16 KiB at most.
MAX_FILE_BYTES: Final = 1024 * 1024


@dataclass(frozen=True)
class FileProblem:
    file: str
    field: str  # empty: the file as a whole
    detail: str

    def __str__(self) -> str:
        return f"{self.file}: {self.field}{': ' if self.field else ''}{self.detail}"


@dataclass
class Wanted:
    """What the files say. `campaigns` by key, with the file that each is from."""

    campaigns: dict[str, tuple[str, CampaignIn]] = field(default_factory=dict)
    policy: tuple[str, PolicyIn] | None = None
    problems: list[FileProblem] = field(default_factory=list)


def read_files(paths: Sequence[Path]) -> Wanted:
    """Files, and directories: their *.json and those of their `campaigns/`; every problem of all is told."""
    wanted = Wanted()
    for path in paths:
        if not path.is_dir():
            _read(path, wanted)
            continue
        files = [*sorted(path.glob("*.json")), *sorted((path / CAMPAIGNS_FOLDER).glob("*.json"))]
        if not files:
            wanted.problems.append(FileProblem(str(path), "", "has no *.json and no campaigns/*.json"))
        for file in files:
            _read(file, wanted)
    return wanted


def _read(file: Path, wanted: Wanted) -> None:
    try:
        document = _parsed(file)
    except (OSError, ValueError, RecursionError) as error:
        detail = error.strerror if isinstance(error, OSError) else str(error)
        wanted.problems.append(FileProblem(str(file), "", detail or type(error).__name__))
        return
    if file.name == POLICY_FILE:
        policy = _validated(file, PolicyIn, document, wanted.problems)
        if policy is not None and wanted.policy is not None:
            wanted.problems.append(
                FileProblem(str(file), "", f"{wanted.policy[0]} is the policy too: keep one")
            )
        elif policy is not None:
            wanted.policy = (str(file), policy)
        return
    campaign = _validated(file, CampaignIn, document, wanted.problems)
    if campaign is None:
        return
    if campaign.key.isdigit():
        detail = "needs a letter or a hyphen: digits in a path are an id"
        wanted.problems.append(FileProblem(str(file), "key", detail))
    elif campaign.key in wanted.campaigns:
        detail = f"{wanted.campaigns[campaign.key][0]} has the key {campaign.key!r} too: keep one"
        wanted.problems.append(FileProblem(str(file), "key", detail))
    else:
        wanted.campaigns[campaign.key] = (str(file), campaign)


def _parsed(file: Path) -> dict[str, Any]:
    """Raises OSError and ValueError."""
    with file.open("rb") as stream:
        data = stream.read(MAX_FILE_BYTES + 1)
    if len(data) > MAX_FILE_BYTES:
        raise ValueError(f"is larger than {MAX_FILE_BYTES} bytes")
    try:
        document = json.loads(data.decode("utf-8-sig"), object_pairs_hook=_once_each)
    except UnicodeDecodeError as error:
        raise ValueError(f"byte {error.start} is not UTF-8") from None
    except json.JSONDecodeError as error:
        raise ValueError(f"line {error.lineno}, column {error.colno}: {error.msg}") from None
    if not isinstance(document, dict):
        raise ValueError("must be a JSON object")  # noqa: TRY004  (of the file, not of a caller)
    return document


def _once_each(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    names = [name for name, _ in pairs]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise ValueError(f"{twice[:100]!r} is in one object twice: keep one")
    return dict(pairs)


def _validated(file: Path, model: type[M], document: dict[str, Any], problems: list[FileProblem]) -> M | None:
    try:
        return model.model_validate(document)
    except ValidationError as error:
        fields: Iterable[dict[str, str]] = invalid_fields(error).members["errors"]
        problems += [FileProblem(str(file), each["field"], each["detail"]) for each in fields]
        return None
