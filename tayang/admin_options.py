"""What commands that ask a running service have in common: their options, and how they end."""

import asyncio
import sys
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Annotated, Final

import typer

from tayang.settings import load_settings

if TYPE_CHECKING:
    from tayang.admin_client import AdminClient

Json = Annotated[bool, typer.Option("--json", help="print the result as JSON")]
Url = Annotated[str | None, typer.Option(help="the service or its backoffice")]
Key = Annotated[
    str | None, typer.Option(envvar="TAYANG_API_KEY", help="an API key; default: TAYANG_ADMIN_KEY")
]

_REQUEST_SECONDS: Final = 30.0
_FAILED: Final = 1


def run_with_service(
    command: "Callable[[AdminClient], Awaitable[int]]", *, url: str | None, key: str | None
) -> None:
    """Ends the command with the exit code that it returns, or that of what went wrong, told in one line."""
    from tayang.admin_client import ServiceError, admin_client  # noqa: PLC0415  (its imports are slow)

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
