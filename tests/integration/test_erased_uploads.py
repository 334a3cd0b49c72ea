"""Audience files that name a user who is erased while they come: they don't list him, and keep no trace."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

from buffer.contract import MERGE_LOCK
from tests.support.database import Database
from tests.support.service import ADMIN_KEY, Service
from tests.support.traces import traces_in
from tests.support.waiting import until

ADMIN = {"Authorization": f"Bearer {ADMIN_KEY}"}
AUDIENCE = "/v1/admin/campaigns/sale/audience"
USER = "user-to-be-erased-77c2"
#: Backslashes are doubled where parts are kept.
ODD = "user\\to-be-erased-77c2"
WAITS_FOR_TURN = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"


async def opened(service: Service, *ids: str) -> str:
    """The path of an upload that has these users and waits to be completed."""
    async with service.client.post(f"{AUDIENCE}/uploads?mode=add", headers=ADMIN) as response:
        path = response.headers["Location"]
    headers = {**ADMIN, "Content-Type": "application/partial-upload", "Upload-Offset": "0"}
    data = "".join(f"{each}\n" for each in ids).encode()
    async with service.client.patch(path, data=data, headers=headers) as response:
        assert response.status == 200, await response.text()
    return path


async def complete(service: Service, path: str) -> dict[str, Any]:
    async with service.client.post(f"{path}/complete", headers=ADMIN) as response:
        document: dict[str, Any] = await response.json()
        assert response.status == 200, document
        return document


async def erase(service: Service, user: str) -> None:
    async with service.client.delete(
        f"/v1/admin/users/{user.replace(chr(92), '%5C')}", headers=ADMIN
    ) as response:
        assert response.status == 202, await response.text()


async def members(database: Database) -> list[str]:
    rows = await (await database.primary()).fetch("SELECT user_id FROM audience_members ORDER BY 1")
    return [row["user_id"] for row in rows]


async def test_an_open_upload_forgets_him_and_does_not_list_him(service: Service, database: Database) -> None:
    await service.create("sale", audience="listed")
    path = await opened(service, "ani", USER, ODD, "budi", f"{USER}-2", USER)
    for user in (USER, ODD):
        await erase(service, user)
    found = await (await database.primary()).fetchval(
        "SELECT string_agg(user_ids, '') FROM audience_upload_parts"
    )
    assert found.split() == ["ani", "budi", f"{USER}-2"]
    await complete(service, path)
    assert await members(database) == ["ani", "budi", f"{USER}-2"]


async def test_what_comes_after_the_erasure_is_of_before_if_the_upload_is(
    service: Service, database: Database
) -> None:
    await service.create("sale", audience="listed")
    path = await opened(service)
    await erase(service, USER)
    headers = {**ADMIN, "Content-Type": "application/partial-upload", "Upload-Offset": "0"}
    async with service.client.patch(path, data=f"ani\n{USER}".encode(), headers=headers) as response:
        assert response.status == 200
    document = await complete(service, path)
    assert (document["added"], document["members"]) == (2, 1)
    assert await members(database) == ["ani"]
    assert await traces_in(await database.primary(), USER) == {}

    await complete(service, await opened(service, USER))
    assert await members(database) == ["ani", USER], "a file of later may name him again"


async def test_a_file_that_is_being_sent_does_not_list_him(service: Service, database: Database) -> None:
    await service.create("sale", audience="listed")
    erased = asyncio.Event()

    async def file() -> AsyncIterator[bytes]:
        yield f"{USER}\nani\n".encode() + b"filler\n" * 200_000  # enough for a first COPY
        await erased.wait()
        yield b"budi\n"

    async def put() -> int:
        headers = {**ADMIN, "Content-Type": "text/csv"}
        async with service.client.put(f"{AUDIENCE}?mode=add", data=file(), headers=headers) as response:
            return response.status

    task = asyncio.create_task(put())
    primary = await database.primary()
    staged = "SELECT count(*) FROM pg_class WHERE relname = 'audience_upload'"
    await until(lambda: primary.fetchval(staged), "the upload has begun")
    await erase(service, USER)
    erased.set()
    assert await task == 200
    assert await members(database) == ["ani", "budi", "filler"]


async def test_an_erasure_that_was_under_way_at_the_commit_counts_too(
    service: Service, database: Database
) -> None:
    """It has looked at the lists before the upload was committed, and is committed after it."""
    await service.create("sale", audience="listed")
    path = await opened(service, "ani", USER)
    primary = await database.primary()
    transaction = primary.transaction()
    await transaction.start()
    await primary.execute("SELECT pg_advisory_xact_lock($1)", MERGE_LOCK)
    await primary.execute(
        "INSERT INTO erasures (user_hash, erased_at, before_id, removed) "
        "SELECT hashtextextended($1, secret), clock_timestamp(), gen_random_uuid(), '{}' FROM erasure_secret",
        USER,
    )
    completing = asyncio.create_task(complete(service, path))
    await until(
        lambda: primary.fetchval(WAITS_FOR_TURN), "the upload is committed, and waits for the erasure"
    )
    assert not completing.done()
    await transaction.commit()
    await completing
    assert await members(database) == ["ani"]
