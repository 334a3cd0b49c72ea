"""The admin API of a running service, for commands: one way to reach it, and one to tell why it can't be."""

import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urlsplit

import aiohttp
from yarl import URL

from tayang.settings import Settings, SettingsError

OK: Final = 0
FAILED: Final = 1
BAD_INPUT: Final = 2

_CONNECT_SECONDS: Final = 10.0
_UNAUTHORIZED: Final = 401
_FORBIDDEN: Final = 403
_SERVER_ERRORS: Final = range(500, 600)
_EVERY_ADDRESS: Final = ("0.0.0.0", "::", "")  # noqa: S104  (to be asked at, not to listen on)


class ServiceError(Exception):
    """The service, or the way to it, has failed or lets nobody in: one line, and the exit code."""

    def __init__(self, exit_code: int, detail: str) -> None:
        super().__init__(detail)
        self.exit_code = exit_code
        self.detail = detail


@dataclass(frozen=True)
class Answer:
    status: int
    headers: Mapping[str, str]
    document: dict[str, Any]  # empty, if the body is no JSON object

    @property
    def ok(self) -> bool:
        return self.status // 100 == 2  # noqa: PLR2004

    @property
    def code(self) -> str:
        return str(self.document.get("code", ""))

    @property
    def detail(self) -> str:
        return str(self.document.get("detail", f"status {self.status}"))


class AdminClient:
    """Answers of the service as they are, but for those that end a command: ServiceError."""

    def __init__(self, session: aiohttp.ClientSession, base: str) -> None:
        self.base = base
        self._session = session

    async def ask(self, method: str, path: str, **options: Any) -> Answer:
        """`options` are aiohttp's. Raises ServiceError when there is no answer, 401, 403 or 5xx."""
        try:
            answer = await self.send(method, path, **options)
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise unreachable(self.base, error) from error
        if answer.status in _SERVER_ERRORS:
            raise ServiceError(FAILED, f"{self.base}: {answer.detail}")
        return answer

    async def send(self, method: str, path: str, **options: Any) -> Answer:
        """The same, for who tries again: raises what aiohttp does, and ServiceError for 401 and 403 only.

        `path` is quoted already: an id in it may hold any character.
        """
        url = URL(self.base + path, encoded=True)
        async with self._session.request(method, url, **options) as response:
            answer = Answer(response.status, response.headers, _document(await response.text()))
        if answer.status == _UNAUTHORIZED:
            raise ServiceError(BAD_INPUT, f"{self.base} doesn't know this key: {answer.detail}")
        if answer.status == _FORBIDDEN:
            raise ServiceError(BAD_INPUT, f"{self.base}: {answer.detail}")
        return answer


def service_url(settings: Settings, url: str | None) -> str:
    """The service's address, without a slash at its end. Raises SettingsError."""
    if url is None:
        host = "127.0.0.1" if settings.http_host in _EVERY_ADDRESS else settings.http_host
        return f"http://{f'[{host}]' if ':' in host else host}:{settings.http_port}"
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.netloc:
        raise SettingsError(f"--url {url!r} is no address: write it as http://127.0.0.1:8080")
    return url.rstrip("/")


def unreachable(base: str, error: Exception) -> ServiceError:
    remedy = "start it with 'tayang up' (make run), or name it with --url or TAYANG_HTTP_PORT"
    return ServiceError(FAILED, f"no service answers at {base} ({error or type(error).__name__}): {remedy}")


@asynccontextmanager
async def admin_client(
    settings: Settings, *, url: str | None, key: str | None, seconds: float, backoffice: bool = False
) -> AsyncIterator[AdminClient]:
    """With an API key, or TAYANG_ADMIN_KEY; `seconds` for one request. Raises SettingsError."""
    key = key or settings.admin_key
    if not key:
        raise SettingsError(
            "there is no key: give an API key as --key or TAYANG_API_KEY, or set TAYANG_ADMIN_KEY as for the "
            "service, or TAYANG_DATA_DIR to the one of 'tayang up'"
        )
    at = settings.model_copy(update={"http_port": settings.backoffice_port}) if backoffice else settings
    base = service_url(at, url)
    timeout = aiohttp.ClientTimeout(total=seconds, connect=_CONNECT_SECONDS)
    headers = {"Authorization": f"Bearer {key}"}
    async with aiohttp.ClientSession(headers=headers, timeout=timeout) as session:
        yield AdminClient(session, base)


def _document(text: str) -> dict[str, Any]:
    try:
        document = json.loads(text)
    except ValueError:
        return {}
    return document if isinstance(document, dict) else {}
