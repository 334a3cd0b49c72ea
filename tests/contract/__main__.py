"""`python -m tests.contract`: a generated client does the main job, then a service is attacked.

With requests that schemathesis makes from its own document, until there were so many.

Exit codes: 0 nothing was found; 1 something was, and is printed; 2 wrong arguments.
"""

import asyncio
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Final

import aiohttp
import typer

from api.access.table import SCOPES
from tayang.user_token import mint
from tests.adversity.drills.stack import Stack, running_stack
from tests.adversity.ground import own_cluster
from tests.contract.attack import Counts, Outcome, attack
from tests.contract.generated.run import ClientError, run_client
from tests.support.directories import servers_directory
from tests.support.service import ADMIN_KEY, USER_SECRET

#: The phase that goes through each operation's limits one by one: it is the same in every round.
_ALL: Final = "examples,coverage,fuzzing,stateful"
_RANDOM: Final = "fuzzing,stateful"
#: An attack opens uploads and leaves them; with the default's ten the rest would meet 409 alone.
_OPEN_UPLOADS: Final = 1000


@dataclass(frozen=True)
class Round:
    """`who` calls: a user and an administrator, a service that acts for users, or nobody."""

    who: str
    phases: str
    max_examples: int


def rounds() -> Iterator[Round]:
    """Without an end."""
    yield Round("user", _ALL, 50)
    yield Round("service", _ALL, 50)
    yield Round("nobody", _ALL, 10)
    while True:
        yield Round("service", _RANDOM, 200)
        yield Round("user", _RANDOM, 200)


def main(
    *,
    requests: Annotated[int, typer.Option(min=1, help="Attack until there were so many.")] = 50_000,
    seed: Annotated[int, typer.Option(min=0, help="Of the first round; the next has the next.")] = 1,
    client: Annotated[
        Path | None,
        typer.Option(help="Where openapi-python-client and its python are; without it no client."),
    ] = None,
) -> None:
    """Attack a service of its own, and print what was asked and what came back."""
    raise SystemExit(0 if asyncio.run(_run(requests, seed, client)) else 1)


async def _run(requests: int, seed: int, client: Path | None) -> bool:
    with servers_directory("tayang-contract-") as directory:
        async with (
            own_cluster(directory) as (cluster, servers),
            running_stack(
                cluster, servers, directory / "stack", workers=1, audience_open_max_uploads=_OPEN_UPLOADS
            ) as stack,
        ):
            worked = client is None or await _client_works(stack, client, directory)
            return await _attack(stack, directory, requests, seed) and worked


async def _client_works(stack: Stack, client: Path, directory: Path) -> bool:
    jwt = mint(USER_SECRET, "ani")
    try:
        said = await run_client(client, stack.shell.url, directory, admin_key=ADMIN_KEY, user_jwt=jwt)
    except ClientError as error:
        typer.echo(str(error))
        return False
    typer.echo(said.strip())
    return True


async def _attack(stack: Stack, directory: Path, requests: int, seed: int) -> bool:
    """Round by round, until there were so many requests; whether nothing was found."""
    await stack.create_campaign("always", placement="home")
    found, passed = Counter[tuple[str, str, str]](), True
    for number, each in enumerate(rounds(), start=seed):
        key, jwt = await _secrets(stack, each.who)
        outcome = await attack(
            stack.shell.url, directory, seed=number, max_examples=each.max_examples,
            key=key, jwt=jwt, phases=each.phases,
        )  # fmt: skip
        found += outcome.counts
        passed &= outcome.passed and (each.who == "nobody" or _was_let_in(outcome))
        _print_round(number, each, outcome.requests, found.total())
        if not outcome.passed:
            typer.echo(outcome.output)
        if found.total() >= requests or not outcome.requests:
            break
    _print_summary(found)
    return passed and found.total() >= requests


async def _secrets(stack: Stack, who: str) -> tuple[str | None, str | None]:
    """Key and JWT. A service's key is a new one, and no administrator's: an attack revokes what it can."""
    if who == "nobody":
        return None, None
    if who == "user":
        return ADMIN_KEY, mint(USER_SECRET, "ani")
    headers = {"Authorization": f"Bearer {ADMIN_KEY}"}
    scopes = [scope for scope in SCOPES if scope != "admin"]
    async with (
        aiohttp.ClientSession(stack.shell.url, headers=headers) as session,
        session.post("/v1/admin/keys", json={"name": "contract", "scopes": scopes}) as response,
    ):
        return str((await response.json())["key"]), None


def _was_let_in(outcome: Outcome) -> bool:
    """Whether most requests got past the guard: else nothing was attacked."""
    refused = sum(number for (_, status, _), number in outcome.counts.items() if status == "401")
    if 2 * refused < outcome.requests:
        return True
    typer.echo(f"{refused:,} of {outcome.requests:,} requests were refused as a stranger's")
    return False


def _print_round(number: int, each: Round, requests: int, total: int) -> None:
    typer.echo(
        f"seed {number:>3}  {each.who:<8} {each.phases:<36} {requests:>7,} requests  {total:>8,} in all"
    )


def _print_summary(found: Counts) -> None:
    for title, place in (("status", 1), ("caller", 2), ("operation", 0)):
        counts: Counter[str] = Counter()
        for key, number in found.items():
            counts[key[place]] += number
        typer.echo(f"\nby {title}")
        for name, number in sorted(counts.items()):
            typer.echo(f"  {name:<44} {number:>8,}")


if __name__ == "__main__":
    typer.run(main)
