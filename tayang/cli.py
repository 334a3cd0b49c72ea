"""The `tayang` command. Exit codes: 0 done; 1 failed while running; 2 the input or the settings are wrong.

`campaigns apply --dry-run` has 3 for "there would be changes".
"""

import asyncio
import json
import socket
import sys
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Annotated, Literal, NoReturn

import asyncpg
import typer

from buffer.connection import DATABASE_ERRORS
from maintenance.connection import check_version, connect
from maintenance.duty import ERASURE_DUTY, MaintenanceError
from maintenance.erasures import finish_erasures
from maintenance.merge import MergeResult, merge_all
from maintenance.schema import check_schema
from tayang.admin_options import Json, Key, Url, run_with_service
from tayang.audience_cli import audience
from tayang.campaigns_cli import campaigns
from tayang.keys_cli import keys
from tayang.settings import OwnSettings, Settings, SettingsError, load_settings

app = typer.Typer(
    help="Campaign popups with exact caps, on PostgreSQL alone. Settings: TAYANG_… (docs/settings.md).",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)

app.add_typer(audience, name="audience")
app.add_typer(keys, name="keys")
app.add_typer(campaigns, name="campaigns")

_DATABASE_FAILED = 1
_INPUT_WRONG = 2


def main() -> None:
    """Run the command; a foreseen failure is one line on stderr and an exit code."""
    try:
        app()
    except (SettingsError, MaintenanceError) as error:
        _fail(_INPUT_WRONG, str(error))
    except DATABASE_ERRORS as error:
        _fail(_DATABASE_FAILED, f"the database can't be used: {error or type(error).__name__}")


@app.command()
def up() -> None:
    """Start everything for development: embedded PostgreSQL, api, backoffice, maintenance, examples."""
    # Only this command needs them, and their imports are slow.
    from tayang.embedded import EmbeddedError  # noqa: PLC0415
    from tayang.up import PartDiedError  # noqa: PLC0415
    from tayang.up import up as start  # noqa: PLC0415

    try:
        start(load_settings(OwnSettings))
    except PartDiedError as error:
        _fail(1, str(error))
    except EmbeddedError as error:
        _fail(_INPUT_WRONG, str(error))


@app.command()
def serve(
    workers: Annotated[int | None, typer.Option(help="api processes; TAYANG_WORKERS")] = None,
) -> None:
    """Serve the API until SIGTERM: one process a core, restarted when one dies."""
    from tayang.service import serve as serve_api  # noqa: PLC0415

    asyncio.run(serve_api(load_settings(**({} if workers is None else {"workers": workers}))))


@app.command(hidden=True)
def worker(
    listen_fd: int = typer.Option(),
    number: int = 0,
    runtime_dir: Path | None = None,
    ready_fd: int | None = None,
) -> None:
    """One api process, started by `serve` or `up`."""
    from tayang.process import run_worker  # noqa: PLC0415

    run_worker(load_settings(), socket.socket(fileno=listen_fd), number, runtime_dir, ready_fd)


@app.command()
def backoffice(listen_fd: Annotated[int | None, typer.Option(hidden=True)] = None) -> None:
    """Serve the admin API in a process of its own, so that a large upload can't hold up popups."""
    from tayang.process import run_backoffice  # noqa: PLC0415
    from tayang.service import backoffice_listener  # noqa: PLC0415

    settings = load_settings()
    listener = backoffice_listener(settings) if listen_fd is None else socket.socket(fileno=listen_fd)
    run_backoffice(settings, listener)


@app.command()
def maintain() -> None:
    """Merge every TAYANG_MERGE_INTERVAL_SECONDS and keep the partitions; a second process stands by."""
    from tayang.database_check import check_database  # noqa: PLC0415
    from tayang.process import run_maintenance  # noqa: PLC0415

    settings = load_settings()
    asyncio.run(check_database(settings))
    run_maintenance(settings)


@app.command()
def merge(
    as_json: Annotated[bool, typer.Option("--json", help="print the result as JSON")] = False,
    wait: Annotated[float, typer.Option(help="seconds to wait for a merge that is under way")] = 10.0,
) -> None:
    """Merge what is buffered, once (for cron, or to see the figures)."""
    result = asyncio.run(_merge(load_settings(), wait))
    if as_json:
        typer.echo(json.dumps(result.as_dict()))
        return
    typer.echo(
        f"merged {result.rows} rows in {result.seconds:.3f} s: {result.events} new events, "
        f"{result.duplicates} duplicates dropped, {result.quarantined} in quarantine; "
        f"{result.users} users and {result.campaigns} campaigns touched; {result.rows_left} rows left"
    )


@app.command()
def migrate() -> None:
    """Bring the database to the newest schema and create the partitions of the coming days."""
    from maintenance.prepare import prepare_database  # noqa: PLC0415

    revision = asyncio.run(prepare_database(load_settings().maintenance()))
    typer.echo(f"the schema is at {revision}")


@app.command("import-audience")
def import_audience(
    file: Annotated[Path, typer.Argument(help="one user id a line")],
    campaign: Annotated[str, typer.Option(help="the campaign's key")],
    mode: Annotated[Literal["replace", "add", "remove"], typer.Option()] = "replace",
    as_json: Annotated[bool, typer.Option("--json", help="print the result as JSON")] = False,
) -> None:
    """Load a campaign's audience from a file, whole or not at all."""
    from tayang.import_audience import import_audience as load  # noqa: PLC0415

    settings = load_settings()
    settings.require_primary()
    pace = settings.audience_apply_max_rows_per_second
    done = load(settings.primary_dsn, file, campaign, mode, rows_per_second=pace, as_json=as_json)
    raise typer.Exit(asyncio.run(done))


@app.command("erase-user")
def erase_user(
    user: Annotated[str, typer.Argument(help="the user's id")],
    *,
    wait: Annotated[float, typer.Option(min=0, help="seconds to wait until nothing is left")] = 60.0,
    as_json: Json = False,
    url: Url = None,
    key: Key = None,
) -> None:
    """Erase a user everywhere, by the running service. Exit code 1 if something is left after --wait."""
    from tayang.erase_user import erase_user as erase  # noqa: PLC0415  (its imports are slow)

    run_with_service(lambda client: erase(client, user, wait_seconds=wait, as_json=as_json), url=url, key=key)


@app.command()
def report(
    campaign: Annotated[str, typer.Argument(help="the campaign's key or id")],
    first: Annotated[str | None, typer.Option("--from", help="a day such as 2026-11-01")] = None,
    last: Annotated[str | None, typer.Option("--to", help="a day; without it today")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="print what the API answers")] = False,
) -> None:
    """Plot what came of a campaign: impressions, clicks, conversions, reach, frequency, lift."""
    from tayang.report import print_report  # noqa: PLC0415

    settings = load_settings()
    settings.require_primary()
    days = _day("--from", first), _day("--to", last)
    raise typer.Exit(asyncio.run(print_report(settings.primary_dsn, campaign, *days, as_json=as_json)))


@app.command()
def token(
    user: Annotated[str, typer.Argument(help="the user's id")],
    hours: Annotated[int, typer.Option(min=1, max=24 * 365)] = 24,
) -> None:
    """Print a user's JWT, signed with TAYANG_USER_JWT_SECRET (for development and load tests)."""
    from tayang.user_token import user_token  # noqa: PLC0415  (its imports are slow)

    settings = load_settings()
    if not settings.user_jwt_secret:
        raise SettingsError("TAYANG_USER_JWT_SECRET is not set: a token can't be signed with a public key")
    typer.echo(user_token(settings, user, valid_seconds=hours * 3600))


@app.command()
def explain(
    user: Annotated[str, typer.Argument(help="the user's id")],
    *,
    placement: Annotated[str, typer.Option(help="the place in the app, such as home")],
    platform: str | None = None,
    app_version: str | None = None,
    locale: str | None = None,
    country: str | None = None,
    attr: Annotated[list[str] | None, typer.Option(help="an attribute of the app's own: tier=gold")] = None,
    tz: Annotated[str | None, typer.Option(help="the phone's time zone")] = None,
    session: Annotated[str | None, typer.Option(help="the app's session")] = None,
    at: Annotated[str | None, typer.Option(help="another time, such as 2026-11-23T00:00:00+07:00")] = None,
    campaign: Annotated[str | None, typer.Option(help="only this one: its key or id")] = None,
    limit: Annotated[int | None, typer.Option(help="popups that the app asks for")] = None,
    as_json: Json = False,
    url: Url = None,
    key: Key = None,
) -> None:
    """Tell why a user sees what he sees: each campaign's verdict, by the running service."""
    from tayang.explain import attribute_parameters  # noqa: PLC0415  (its imports are slow)
    from tayang.explain import explain as ask  # noqa: PLC0415

    given = {
        "user_id": user,
        "placement": placement,
        "platform": platform,
        "app_version": app_version,
        "locale": locale,
        "country": country,
        "tz": tz,
        "session": session,
        "at": at,
        "campaign": campaign,
        "limit": None if limit is None else str(limit),
    }
    parameters = {name: value for name, value in given.items() if value is not None}
    parameters |= attribute_parameters(attr or ())
    run_with_service(lambda client: ask(client, parameters, as_json=as_json), url=url, key=key)


@app.command()
def demo(
    users: Annotated[int, typer.Option(min=1, max=500, help="each has a phone with a connection")] = 200,
    seconds: Annotated[int, typer.Option(min=1, max=3600, help="the length of their day")] = 60,
    seed: Annotated[int, typer.Option(help="the same seed gives the same plan of the day")] = 1,
    as_json: Annotated[bool, typer.Option("--json", help="print the report as JSON")] = False,
) -> None:
    """Let users live a day with the running service, and check their caps. Exit code 1 if a check fails."""
    from tayang.demo import Plan, run_demo  # noqa: PLC0415  (its imports are slow)

    raise typer.Exit(asyncio.run(run_demo(load_settings(), Plan(users, seconds, seed), as_json=as_json)))


async def _merge(settings: Settings, wait_seconds: float) -> MergeResult:
    connection = await connect(settings.maintenance(), "merge")
    try:
        check_version(connection)
        await check_schema(connection)
        await connection.execute(f"SET lock_timeout = '{int(wait_seconds * 1000)}ms'")
        result = await merge_all(connection, datetime.now(UTC))
        if await connection.fetchval(
            "SELECT pg_try_advisory_lock($1)", ERASURE_DUTY
        ):  # not if `maintain` runs
            await finish_erasures(connection, datetime.now(UTC))
    except asyncpg.LockNotAvailableError as error:
        raise MaintenanceError(
            f"another merge is under way since {wait_seconds:g} s: look at its log, or raise --wait"
        ) from error
    else:
        return result
    finally:
        connection.terminate()


def _day(option: str, text: str | None) -> date | None:
    try:
        return None if text is None else date.fromisoformat(text)
    except ValueError:
        raise typer.BadParameter("must be a day such as 2026-11-01", param_hint=option) from None


def _fail(code: int, message: str) -> NoReturn:
    print(f"tayang: {message}", file=sys.stderr)  # noqa: T201
    sys.exit(code)
