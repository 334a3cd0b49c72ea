"""`tayang campaigns`: the catalog as files in a repository."""

from pathlib import Path
from typing import Annotated, Final

import typer

from tayang.admin_options import Json, Key, Url, run_with_service

campaigns: Final = typer.Typer(help="Campaigns as code: files in a repository.", no_args_is_help=True)


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

    run_with_service(lambda client: write(client, directory, as_json=as_json), url=url, key=key)


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
    run_with_service(lambda client: write(client, paths, options), url=url, key=key)
