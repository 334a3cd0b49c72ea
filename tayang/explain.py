"""`tayang explain`: asks the running service why a user sees what he sees, over HTTP."""

import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urlsplit

import aiohttp

from tayang.explain_table import print_explanation
from tayang.settings import Settings, SettingsError

OK: Final = 0
FAILED: Final = 1
BAD_INPUT: Final = 2

_REQUEST_SECONDS: Final = 15.0
_UNAUTHORIZED: Final = 401
_SERVER_ERRORS: Final = range(500, 600)
_EVERY_ADDRESS: Final = ("0.0.0.0", "::", "")  # noqa: S104  (to be asked at, not to listen on)


@dataclass(frozen=True)
class Refusal:
    """The service, or the way to it, has failed or refused: one line, and what it means for the caller."""

    exit_code: int
    detail: str


async def explain(
    settings: Settings, parameters: Mapping[str, str], *, url: str | None, as_json: bool
) -> int:
    """Exit code: 0 answered; 1 the service can't be reached or failed; 2 the input is wrong.

    Raises SettingsError.
    """
    if not settings.admin_key:
        raise SettingsError(
            "TAYANG_ADMIN_KEY is not set: set it as for the service, or TAYANG_DATA_DIR to the one of "
            "'tayang up'"
        )
    answer = await _ask(service_url(settings, url), settings.admin_key, parameters)
    if isinstance(answer, Refusal):
        print(f"tayang: {answer.detail}", file=sys.stderr)  # noqa: T201
        return answer.exit_code
    if as_json:
        sys.stdout.write(answer.rstrip("\n") + "\n")
    else:
        print_explanation(json.loads(answer), sys.stdout)
    return OK


def attribute_parameters(attributes: Sequence[str]) -> dict[str, str]:
    """Of `--attr tier=gold`. Raises SettingsError."""
    parameters = {}
    for attribute in attributes:
        name, equals, value = attribute.partition("=")
        if not name or not equals:
            raise SettingsError(f"--attr {attribute!r} has no value: write it as --attr tier=gold")
        parameters[f"attr.{name.removeprefix('attr.')}"] = value
    return parameters


def service_url(settings: Settings, url: str | None) -> str:
    """The service's address, without a slash at its end. Raises SettingsError."""
    if url is None:
        host = "127.0.0.1" if settings.http_host in _EVERY_ADDRESS else settings.http_host
        return f"http://{f'[{host}]' if ':' in host else host}:{settings.http_port}"
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.netloc:
        raise SettingsError(f"--url {url!r} is no address: write it as http://127.0.0.1:8080")
    return url.rstrip("/")


async def _ask(base: str, admin_key: str, parameters: Mapping[str, str]) -> str | Refusal:
    headers = {"Authorization": f"Bearer {admin_key}"}
    timeout = aiohttp.ClientTimeout(total=_REQUEST_SECONDS)
    try:
        async with (
            aiohttp.ClientSession(headers=headers, timeout=timeout) as session,
            session.get(f"{base}/v1/admin/explain", params=parameters) as response,
        ):
            text = await response.text()
    except (aiohttp.ClientError, TimeoutError, OSError) as error:
        return unreachable(base, error)
    return text if response.ok else refusal_of(response.status, text, base)


def unreachable(base: str, error: Exception) -> Refusal:
    remedy = "start it with 'tayang up' (make run), or name it with --url or TAYANG_HTTP_PORT"
    return Refusal(FAILED, f"no service answers at {base} ({error or type(error).__name__}): {remedy}")


def refusal_of(status: int, text: str, base: str) -> Refusal:
    """Of an answer that is none of success."""
    exit_code = FAILED if status in _SERVER_ERRORS else BAD_INPUT
    if status == _UNAUTHORIZED:
        return Refusal(exit_code, f"TAYANG_ADMIN_KEY is not that of the service at {base}")
    return Refusal(exit_code, _detail(text) or f"{base} answers with status {status}")


def _detail(text: str) -> str:
    """Of a problem document; empty if it is none."""
    try:
        problem: Any = json.loads(text)
    except ValueError:
        return ""
    return str(problem.get("detail", "")) if isinstance(problem, dict) else ""
