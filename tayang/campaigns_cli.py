"""`tayang campaigns`: the catalog as files in a repository."""

import asyncio
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from tayang.settings import load_settings

if TYPE_CHECKING:
    from tayang.admin_client import AdminClient

campaigns: Final = typer.Typer(help="Campaigns as code: files in a repository.", no_args_is_help=True)

Json = Annotated[bool, typer.Option("--json", help="print the result as JSON")]
Url = Annotated[str | None, typer.Option(help="the service or its backoffice")]
Key = Annotated[
    str | None, typer.Option(envvar="TAYANG_API_KEY", help="an API key; default: TAYANG_ADMIN_KEY")
]

_REQUEST_SECONDS: Final = 30.0
_FAILED: Final = 1


@campaigns.command()
def export(
    directory: Annotated[Path, typer.Option("--dir", help="made if it isn't there")] = Path(),
    *,
    as_json: Json = False,
    url: Url = None,
    key: Key = None,
) -> None:
    """Write all campaigns to DIR/campaigns/KEY.json, and the policy to DIR/policy.json; no audiences."""
    from tayang.as_code.export import export as write  # noqa: PLC0415  (its imports are slow)

    _run(lambda client: write(client, directory, as_json=as_json), url=url, key=key)


@campaigns.command()
def apply(
    paths: Annotated[list[Path], typer.Argument(metavar="DIR|FILE…", help="as export writes them")],
    *,
    dry_run: Annotated[
        bool, typer.Option(help="change nothing; exit code 3 if there is something to do")
    ] = False,
    prune: Annotated[bool, typer.Option(help="archive the campaigns that have no file")] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="don't ask")] = False,
    as_json: Json = False,
    url: Url = None,
    key: Key = None,
) -> None:
    """Make the service have what the files say: show the changes, ask, write."""
    from tayang.as_code.apply import Options  # noqa: PLC0415
    from tayang.as_code.apply import apply as write  # noqa: PLC0415

    options = Options(dry_run=dry_run, prune=prune, yes=yes, as_json=as_json)
    _run(lambda client: write(client, paths, options), url=url, key=key)


def _run(command: "Callable[[AdminClient], Awaitable[int]]", *, url: str | None, key: str | None) -> None:
    from tayang.admin_client import ServiceError, admin_client  # noqa: PLC0415

    async def connected() -> int:
        async with admin_client(load_settings(), url=url, key=key, seconds=_REQUEST_SECONDS) as client:
            return await command(client)

    try:
        code = asyncio.run(connected())
    except ServiceError as error:
        print(f"tayang: {error.detail}", file=sys.stderr)  # noqa: T201
        code = error.exit_code
    except OSError as error:
        print(f"tayang: {error.filename}: {error.strerror}", file=sys.stderr)  # noqa: T201
        code = _FAILED
    raise typer.Exit(code)
