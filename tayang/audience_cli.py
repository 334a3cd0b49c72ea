"""`tayang audience`: audiences over HTTP, in parts, from wherever the service can be reached."""

import asyncio
import sys
from pathlib import Path
from typing import Annotated, Final, Literal

import typer

from tayang.admin_options import Json, Key, Url
from tayang.settings import load_settings

audience: Final = typer.Typer(help="Audiences over HTTP.", no_args_is_help=True)

#: Applying a large audience is one request; the service's own limit comes first.
_REQUEST_SECONDS: Final = 1200.0


@audience.callback()
def _audience() -> None:
    """Else typer would take the only command for the whole."""


@audience.command()
def upload(
    campaign: Annotated[str, typer.Argument(help="the campaign's key or id")],
    file: Annotated[Path, typer.Argument(help="one user id a line")],
    *,
    mode: Annotated[Literal["replace", "add", "remove"], typer.Option()] = "replace",
    resume: Annotated[str | None, typer.Option(metavar="ID", help="go on with this upload")] = None,
    as_json: Json = False,
    url: Url = None,
    key: Key = None,
) -> None:
    """Upload an audience in parts, and apply it whole or not at all; it survives lost connections."""
    from tayang.admin_client import ServiceError, admin_client  # noqa: PLC0415  (its imports are slow)
    from tayang.audience_upload import Upload  # noqa: PLC0415
    from tayang.import_audience import AudienceOutput  # noqa: PLC0415

    output = AudienceOutput(as_json=as_json)

    async def connected() -> int:
        settings = load_settings()
        async with admin_client(
            settings, url=url, key=key, seconds=_REQUEST_SECONDS, backoffice=True
        ) as client:
            return await Upload(client, campaign, file, mode, resume).run(output)

    try:
        code = asyncio.run(connected())
    except ServiceError as error:
        code = output.failed(error.exit_code, "failed", error.detail)
    except KeyboardInterrupt:
        print("tayang: interrupted", file=sys.stderr)  # noqa: T201
        code = 130
    raise typer.Exit(code)
