"""The running service, as the demo meets it: over HTTP only."""

from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Final, Self

import aiohttp
from prometheus_client.parser import text_string_to_metric_families

from tayang.demo.ledger import Ledger
from tayang.settings import Settings, SettingsError
from tayang.user_token import user_token

REQUEST_SECONDS: Final = 10.0
_LEFT_OUT: Final = "tayang_popups_not_shown_total"
_PAGE: Final = 200
_PAGES_MAX: Final = 50
_UNAUTHORIZED: Final = 401


class RunningService:
    def __init__(self, settings: Settings, session: aiohttp.ClientSession) -> None:
        self.url = f"http://{settings.http_host}:{settings.http_port}"
        self._settings = settings
        self._session = session

    @classmethod
    @asynccontextmanager
    async def find(cls, settings: Settings) -> AsyncIterator[Self]:
        """The service that the settings name. Raises SettingsError if it isn't there, or isn't ours."""
        async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=REQUEST_SECONDS)) as session:
            service = cls(settings, session)
            try:
                await service._look()
            except (aiohttp.ClientError, TimeoutError) as error:
                raise SettingsError(
                    f"no service answers at {service.url}: start it with 'tayang up' (make run) in another "
                    "terminal, or set TAYANG_HTTP_HOST and TAYANG_HTTP_PORT"
                ) from error
            yield service

    def phone_session(self, user_id: str) -> aiohttp.ClientSession:
        """One connection, kept, as a phone has it; signed in as the user."""
        token = user_token(self._settings, user_id)
        return aiohttp.ClientSession(
            self.url,
            headers={"Authorization": f"Bearer {token}"},
            connector=aiohttp.TCPConnector(limit=1),
            timeout=aiohttp.ClientTimeout(total=REQUEST_SECONDS),
        )

    async def campaigns(self) -> list[dict[str, Any]]:
        """All campaigns, from the admin API. Raises SettingsError."""
        headers = {"Authorization": f"Bearer {self._settings.admin_key}"}
        found: list[dict[str, Any]] = []
        cursor = ""
        for _ in range(_PAGES_MAX):
            url = f"{self.url}/v1/admin/campaigns?limit={_PAGE}&cursor={cursor}"
            try:
                async with self._session.get(url, headers=headers) as response:
                    if response.status == _UNAUTHORIZED:
                        raise SettingsError("TAYANG_ADMIN_KEY is not that of the running service")
                    response.raise_for_status()
                    page = await response.json()
            except (aiohttp.ClientError, TimeoutError) as error:
                raise SettingsError(f"{self.url}: the campaigns can't be listed: {error}") from error
            found += page["campaigns"]
            cursor = page["next_cursor"]
            if cursor is None:
                break
        return found

    async def read_figures(self, ledger: Ledger) -> None:
        """From /metrics, added up over the workers. One that can't be had is an error in the ledger."""
        try:
            async with self._session.get(f"{self.url}/metrics") as response:
                response.raise_for_status()
                text = await response.text()
        except (aiohttp.ClientError, TimeoutError) as error:
            ledger.failed(f"GET /metrics: {type(error).__name__}")
            return
        totals: Counter[tuple[str, str]] = Counter()
        workers = set()
        for family in text_string_to_metric_families(text):
            for sample in family.samples:
                workers.add(sample.labels.get("worker"))
                if sample.name == _LEFT_OUT:
                    totals[sample.labels["campaign"], sample.labels["reason"]] += int(sample.value)
        ledger.left_out(totals, workers=len(workers))

    async def _look(self) -> None:
        async with self._session.get(f"{self.url}/readyz") as response:
            text = await response.text()
        if not response.ok:
            raise SettingsError(f"the service at {self.url} is not ready: {text[:300]}")
        for name in ("user_jwt_secret", "admin_key"):
            if not getattr(self._settings, name):
                raise SettingsError(
                    f"TAYANG_{name.upper()} is not set: set TAYANG_DATA_DIR to the one of 'tayang up', "
                    "or set it as for the service"
                )
        token = user_token(self._settings, "demo-000")
        headers = {"Authorization": f"Bearer {token}"}
        async with self._session.get(f"{self.url}/v1/popups?placement=none", headers=headers) as response:
            if response.status == _UNAUTHORIZED:
                raise SettingsError("TAYANG_USER_JWT_SECRET is not that of the running service")
