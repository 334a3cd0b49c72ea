"""`tayang audience upload` over links that break."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from api.admin.audience_load import Mode
from tayang.admin_client import AdminClient, Answer, ServiceError
from tayang.audience_upload import Upload
from tayang.import_audience import AudienceOutput
from tests.support.database import Database
from tests.support.service import ADMIN_KEY, Service

UPLOADS = "/v1/admin/campaigns/sale/audience/uploads"


class BadLine:
    """Passes connections on, cuts each after so many bytes of the client, and loses one request's answer."""

    def __init__(self, address: tuple[str, int], *, cut_after_bytes: int, lose_answer_to: bytes) -> None:
        self.cuts = 0
        self.lost_answers = 0
        self._address = address
        self._cut_after_bytes = cut_after_bytes
        self._lose_answer_to = lose_answer_to

    @asynccontextmanager
    async def running(self) -> AsyncIterator[str]:
        server = await asyncio.start_server(self._pass_on, "127.0.0.1", 0)
        host, port = server.sockets[0].getsockname()
        async with server:
            yield f"http://{host}:{port}"

    async def _pass_on(self, client: asyncio.StreamReader, to_client: asyncio.StreamWriter) -> None:
        service, to_service = await asyncio.open_connection(*self._address)
        losing = asyncio.Event()

        async def answers() -> None:
            while data := await service.read(65_536):
                if losing.is_set():
                    self.lost_answers += 1
                    to_client.transport.abort()
                    return
                to_client.write(data)

        answering, passed = asyncio.create_task(answers()), 0
        try:
            while data := await client.read(65_536):
                if self._lose_answer_to in data and not self.lost_answers:
                    losing.set()
                passed += len(data)
                to_service.write(data)
                await to_service.drain()
                if passed > self._cut_after_bytes:
                    self.cuts += 1
                    break
        except OSError:
            pass
        finally:
            to_client.transport.abort()
            to_service.close()
            answering.cancel()


class GoesDead(AdminClient):
    """The line, once the upload is opened."""

    async def send(self, method: str, path: str, **options: Any) -> Answer:
        if method == "POST":
            return await super().send(method, path, **options)
        raise aiohttp.ClientConnectionError("the line is dead")


@asynccontextmanager
async def of(base: str, kind: type[AdminClient]) -> AsyncIterator[AdminClient]:
    async with aiohttp.ClientSession(headers={"Authorization": f"Bearer {ADMIN_KEY}"}) as session:
        yield kind(session, base)


@pytest.fixture(name="quick", autouse=True)
def quick_fixture(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tayang.audience_upload._WAIT_SECONDS", 0.001)
    monkeypatch.setattr("tayang.audience_upload._WAIT_MAX_SECONDS", 0.01)


def base_of(service: Service) -> str:
    host, port = service.address
    return f"http://{host}:{port}"


async def run(
    base: str,
    file: Path,
    mode: Mode = "replace",
    resume: str | None = None,
    *,
    campaign: str = "sale",
    kind: type[AdminClient] = AdminClient,
) -> int:
    async with of(base, kind) as client:
        return await Upload(client, campaign, file, mode, resume).run(AudienceOutput(as_json=True))


async def members(database: Database) -> list[str]:
    rows = await (await database.primary()).fetch("SELECT user_id FROM audience_members ORDER BY user_id")
    return [row["user_id"] for row in rows]


async def uploads(service: Service) -> list[dict[str, Any]]:
    async with service.client.get(UPLOADS, headers={"Authorization": f"Bearer {ADMIN_KEY}"}) as response:
        found: list[dict[str, Any]] = (await response.json())["uploads"]
        return found


async def test_lost_connections_and_a_lost_answer_lose_nothing(
    service: Service,
    database: Database,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("tayang.audience_upload.PART_BYTES", 300_000)
    await service.create("sale", audience="listed")
    ids = [f"user-{number:07}" for number in range(80_000)]
    file = tmp_path / "users.csv"
    file.write_text("\n".join(ids))  # 1 MB
    line = BadLine(service.address, cut_after_bytes=400_000, lose_answer_to=b"/complete")
    async with line.running() as base:
        assert await run(base, file) == 0
    told = capsys.readouterr()
    assert json.loads(told.out) == {
        "campaign": "sale",
        "mode": "replace",
        "lines": len(ids),
        "members": len(ids),
        "added": len(ids),
        "removed": 0,
        "duplicates": 0,
    }
    assert line.cuts >= 1
    assert line.lost_answers == 1
    assert "trying again" in told.err
    assert await members(database) == ids
    assert await uploads(service) == []


async def test_bad_lines_end_it_early_and_leave_nothing(
    service: Service, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tayang.audience_upload.PART_BYTES", 100)
    await service.create("sale")
    file = tmp_path / "users.csv"
    file.write_text("a\nb,c\n" + "d\n" * 1000)
    assert await run(base_of(service), file) == 2
    told = json.loads(capsys.readouterr().out)
    assert (told["code"], told["bad_lines"], told["errors"][0]["line"]) == ("audience_invalid", 1, 2)
    assert "first 100 bytes" in told["detail"]
    assert await uploads(service) == []


async def test_an_interrupted_upload_goes_on_where_it_was(
    service: Service, database: Database, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    await service.create("sale")
    file, other = tmp_path / "users.csv", tmp_path / "other.csv"
    file.write_text("ani\nbudi\ncitra\n")
    other.write_text("ani\nBUDI\ncitra\n")
    admin = {"Authorization": f"Bearer {ADMIN_KEY}"}
    async with service.client.post(f"{UPLOADS}?mode=add", headers=admin) as response:
        upload = (await response.json())["id"]
    part = admin | {"Content-Type": "application/partial-upload", "Upload-Offset": "0"}
    async with service.client.patch(f"{UPLOADS}/{upload}", data=b"ani\nbu", headers=part) as response:
        assert response.status == 200

    with pytest.raises(ServiceError, match="is not the file of this upload"):
        await run(base_of(service), other, resume=upload)
    assert "go on with" not in capsys.readouterr().err
    for _ in range(2):  # the second one finds it applied
        assert await run(base_of(service), file, resume=upload) == 0
        told = json.loads(capsys.readouterr().out)
        assert (told["mode"], told["added"]) == ("add", 3)
    assert await members(database) == ["ani", "budi", "citra"]


async def test_it_gives_up_and_says_how_to_go_on(
    service: Service, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tayang.audience_upload.MAX_FAILURES", 3)
    await service.create("sale")
    file = tmp_path / "users.csv"
    file.write_text("ani\n")
    with pytest.raises(ServiceError, match="given up after 3 times"):
        await run(base_of(service), file, kind=GoesDead)
    (upload,) = await uploads(service)
    told = capsys.readouterr().err
    assert told.count("trying again") == 2
    assert f"go on with: tayang audience upload sale {file} --resume {upload['id']}" in told


async def test_what_is_wrong_is_said(
    service: Service, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    await service.create("sale")
    file = tmp_path / "users.csv"
    file.write_text("ani\n")
    gone = "00000000-0000-0000-0000-000000000000"
    for path, campaign, resume, code in (
        (tmp_path / "none.csv", "sale", None, "bad_file"),
        (tmp_path, "sale", None, "bad_file"),
        (file, "nobody", None, "not_found"),
        (file, "sale", gone, "not_found"),
    ):
        assert await run(base_of(service), path, resume=resume, campaign=campaign) == 2
        assert json.loads(capsys.readouterr().out)["code"] == code
