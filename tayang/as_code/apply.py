"""`tayang campaigns apply`: shows what would change, asks, and writes it, each change by itself."""

import json
import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from tayang.admin_client import AdminClient, Answer, ServiceError
from tayang.as_code.catalog import CAMPAIGNS, POLICY, read_catalog
from tayang.as_code.files import read_files
from tayang.as_code.plan import Change, Plan, plan_of

OK: Final = 0
FAILED: Final = 1
BAD_INPUT: Final = 2
WOULD_CHANGE: Final = 3

_CONFLICTS: Final = frozenset({"version_conflict", "key_taken"})
_SIGNS: Final = {"create": ("+", "green"), "change": ("~", "yellow"), "archive": ("-", "red")}


@dataclass(frozen=True)
class Options:
    dry_run: bool = False
    prune: bool = False
    yes: bool = False
    as_json: bool = False


async def apply(client: AdminClient, paths: Sequence[Path], options: Options) -> int:
    """Exit code: 0 all is as it should be; 1 not all was done; 2 wrong files; 3 a dry run with changes.

    Raises ServiceError before anything was written. What was not done can be done by the same command again.
    """
    output, wanted = _Output(as_json=options.as_json), read_files(paths)
    if options.prune and not wanted.campaigns:
        return output.wrong(["--prune would archive every campaign: the files have none"])
    if wanted.problems:
        return output.wrong([str(problem) for problem in wanted.problems])
    plan = plan_of(wanted, await read_catalog(client), prune=options.prune)
    output.show(plan)
    if options.dry_run or not plan.changes:
        output.done(plan, dry_run=options.dry_run)
        return WOULD_CHANGE if plan.changes else OK
    if not options.yes:
        if not sys.stdin.isatty() or options.as_json:
            return output.wrong(["nobody can be asked here: look at --dry-run, then say --yes"])
        typer.confirm(f"apply {len(plan.changes)} changes?", abort=True, err=True)
    code = OK
    try:
        await _write(client, plan, output.errors)
    except ServiceError as error:
        output.errors.print(f"tayang: {error.detail}")
        code = error.exit_code
    output.done(plan, dry_run=False)
    return code or _exit_code(plan)


async def _write(client: AdminClient, plan: Plan, console: Console) -> None:
    """A conflict or refusal doesn't stop the rest: no campaign needs another. Raises ServiceError."""
    columns = (TextColumn("applying"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, disable=not console.is_terminal) as progress:
        for change in progress.track(plan.changes):
            answer = await _send(client, change)
            if answer.ok:
                change.outcome = "done"
            else:
                change.outcome = "conflict" if answer.code in _CONFLICTS else "refused"
                change.detail = answer.detail


async def _send(client: AdminClient, change: Change) -> Answer:
    if change.action == "create":
        return await client.ask("POST", CAMPAIGNS, json=change.document)
    headers = {"If-Match": f'"{change.version}"'}
    path = POLICY if change.kind == "policy" else f"{CAMPAIGNS}/{change.id}"
    if change.action == "archive":
        return await client.ask("DELETE", path, headers=headers)
    return await client.ask("PUT", path, headers=headers, json=change.document)


def _exit_code(plan: Plan) -> int:
    outcomes = {change.outcome for change in plan.changes}
    if outcomes == {"done"}:
        return OK
    return BAD_INPUT if outcomes <= {"done", "refused"} else FAILED


class _Output:
    """Changes and result on standard output, one JSON object with `as_json`; the rest on standard error."""

    def __init__(self, *, as_json: bool) -> None:
        self.errors = Console(stderr=True, soft_wrap=True, markup=False, highlight=False)
        self._out = Console(soft_wrap=True, markup=False, highlight=False)
        self._as_json = as_json

    def wrong(self, problems: list[str]) -> int:
        if self._as_json:
            self._json({"problems": problems})
        for problem in problems:
            self.errors.print(f"tayang: {problem}")
        if len(problems) > 1:
            self.errors.print(f"tayang: {len(problems)} problems; nothing was written")
        return BAD_INPUT

    def show(self, plan: Plan) -> None:
        if self._as_json:
            return
        for change in plan.changes:
            sign, color = _SIGNS[change.action]
            name = change.key if change.kind == "campaign" else "the policy"
            self._out.print(f"{sign} {name}: {change.action}", style=color)
            for field in change.fields:
                self._out.print(f"    {field}")

    def done(self, plan: Plan, *, dry_run: bool) -> None:
        if self._as_json:
            changes = [change.as_dict() for change in plan.changes]
            self._json({"dry_run": dry_run, "changes": changes, "unchanged": plan.unchanged})
            return
        if not plan.changes:
            self._out.print(f"nothing to do: {plan.unchanged} unchanged")
            return
        for change in plan.changes:
            if change.outcome in ("conflict", "refused"):
                self.errors.print(f"tayang: {change.key} was not written: {change.detail}")
        counted = Counter(change.action for change in plan.changes if dry_run or change.outcome == "done")
        verb = "would be " if dry_run else ""
        self._out.print(
            f"{verb}created {counted['create']}, changed {counted['change']}, archived {counted['archive']}; "
            f"{plan.unchanged} unchanged"
        )
        left = 0 if dry_run else sum(change.outcome != "done" for change in plan.changes)
        if left:
            self.errors.print(f"tayang: {left} of {len(plan.changes)} changes were not made: run it again")

    def _json(self, document: dict[str, Any]) -> None:
        self._out.print(json.dumps(document, ensure_ascii=False))
