"""`tayang keys`: API keys, straight in the primary's tables, so that it works before there is any key."""

from typing import Annotated, Final

import typer

from api.access.secret import DAY_SECONDS, MAX_OVERLAP_SECONDS
from api.access.table import SCOPES

keys: Final = typer.Typer(help="API keys of services and scripts.", no_args_is_help=True)

Json = Annotated[bool, typer.Option("--json", help="print the result as JSON")]
KeyId = Annotated[str, typer.Argument(metavar="ID", help="12 characters, as 'tayang keys list' shows them")]


@keys.command()
def create(
    *,
    name: Annotated[str, typer.Option(help="who uses it, for people")],
    scope: Annotated[list[str], typer.Option(help=f"one of {', '.join(SCOPES)}; may be repeated")],
    expires_days: Annotated[int | None, typer.Option(min=1, max=3650, help="default: never")] = None,
    as_json: Json = False,
) -> None:
    """Make a key and print it, once: only its hash is stored."""
    from tayang.keys import create as make  # noqa: PLC0415  (its imports are slow)

    make(name, scope, expires_days, as_json=as_json)


@keys.command("list")
def list_all(as_json: Json = False) -> None:
    """All keys, also those that hold no more; never their secrets."""
    from tayang.keys import show  # noqa: PLC0415

    show(as_json=as_json)


@keys.command()
def rotate(
    key_id: KeyId,
    overlap_hours: Annotated[
        float,
        typer.Option(min=0, max=MAX_OVERLAP_SECONDS / 3600, help="the older secret goes on so long"),
    ] = DAY_SECONDS / 3600,
    as_json: Json = False,
) -> None:
    """Give a key a new secret and print it, once."""
    from tayang.keys import rotate as renew  # noqa: PLC0415

    renew(key_id, overlap_seconds=overlap_hours * 3600, as_json=as_json)


@keys.command()
def revoke(key_id: KeyId) -> None:
    """End a key: within a second no process takes it any more."""
    from tayang.keys import revoke as end  # noqa: PLC0415

    end(key_id)
