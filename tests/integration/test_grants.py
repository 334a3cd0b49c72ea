"""The grants of docs/operations.md are enough for an api process, run as a role that has nothing else."""

import re
from collections.abc import AsyncIterator
from pathlib import Path

import asyncpg
import pytest

from api.no_shows import no_show_writer
from buffer.primary import Primary
from tests.support.database import Database
from tests.support.service import ADMIN_KEY, Service, ServiceFactory, bearer

OPERATIONS = Path(__file__).parents[2] / "docs" / "operations.md"
ROLE, PASSWORD = "tayang_api", "only-for-this-test"
ADMIN = {"Authorization": f"Bearer {ADMIN_KEY}", "If-Match": "*"}


@pytest.fixture(name="granted")
async def granted_fixture(database: Database, start_service: ServiceFactory) -> AsyncIterator[Service]:
    """A service whose role has the documented grants in the test's database."""
    block = re.search(r"```sql\n(GRANT .*?)```", OPERATIONS.read_text(encoding="utf-8"), re.DOTALL)
    assert block is not None
    owner = await database.primary()
    await owner.execute(f"CREATE ROLE {ROLE} LOGIN PASSWORD '{PASSWORD}'")
    try:
        await owner.execute(block[1])
        await database.caught_up()
        service = await start_service(
            primary_dsn=_as_role(database.primary_dsn), replica_dsn=_as_role(database.replica_dsn)
        )
        yield service
        await service.close()
    finally:
        await owner.execute(f"DROP OWNED BY {ROLE}; DROP ROLE {ROLE}")


def _as_role(dsn: str) -> str:
    return re.sub(r"//[^@]*@", f"//{ROLE}:{PASSWORD}@", dsn)


async def admin(service: Service, method: str, path: str, status: int, **body: object) -> None:
    document = body or None
    async with service.client.request(method, f"/v1/admin/{path}", headers=ADMIN, json=document) as response:
        assert response.status == status, (path, await response.text())


async def test_the_audit_log_takes_entries_and_keeps_them(granted: Service) -> None:
    """By grants, whatever the service's code does."""
    await granted.create("sale")
    as_service = await asyncpg.connect(_as_role(granted.database.primary_dsn))
    try:
        assert await as_service.fetchval("SELECT count(*) FROM audit_log") == 1
        for statement in (
            "UPDATE audit_log SET actor = 'nobody'",
            "DELETE FROM audit_log",
            "TRUNCATE audit_log",
            "ALTER TABLE campaigns DISABLE TRIGGER campaigns_audited",
            "DROP TABLE audit_log",
        ):
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await as_service.execute(statement)
        assert await as_service.fetchval("SELECT actor FROM audit_log") == "bootstrap"
    finally:
        await as_service.close()


async def test_everything_works(granted: Service) -> None:
    service, database = granted, granted.database
    campaign_id = await service.create("sale", caps=[{"limit": 1, "window": "day"}])
    await service.create("few", budget={"total": 5, "hard": True}, placement="few")
    await admin(service, "PUT", "policy", 200, min_gap="5s")
    await admin(service, "PUT", "test-users/qa", 201)
    await admin(service, "PUT", "test-users/qa", 200, note="new")
    await admin(service, "DELETE", "test-users/qa", 204)
    await admin(service, "POST", f"campaigns/{campaign_id}/preview", 201)
    await admin(service, "PATCH", "campaigns/sale", 200, name="Sale")
    csv = {**ADMIN, "Content-Type": "text/csv"}
    for mode in ("replace", "add", "remove"):
        url = f"/v1/admin/campaigns/sale/audience?mode={mode}"
        async with service.client.put(url, data="ani\n", headers=csv) as response:
            assert response.status == 200, await response.text()
    await _upload_in_parts(service)
    await admin(service, "POST", "keys", 201, name="crm", scopes=["ingest"])
    (key,) = await (await database.primary()).fetch("SELECT id FROM api_keys")
    await admin(service, "POST", f"keys/{key['id']}/rotate", 200, overlap_seconds=0)
    await admin(service, "DELETE", f"keys/{key['id']}", 204)
    await admin(service, "GET", "audit", 200)
    await admin(service, "PUT", "test-users/tono", 201)
    await admin(service, "DELETE", "users/tono", 202)
    (erasure,) = await (await database.primary()).fetch("SELECT id FROM erasures")
    await admin(service, "GET", f"erasures/{erasure['id']}", 200)
    assert await service.show("ani") == "sale"
    assert (await database.merge()).events == 1
    config = service.delivery.config
    primary = Primary(config.primary_dsn, timeout_seconds=5.0, stagger_seconds=1.0)
    writer = no_show_writer(config, primary, lambda: {(campaign_id, "capped"): 1})
    assert await writer.flush()
    assert await writer.flush()
    await admin(service, "GET", "campaigns/sale/no-shows", 200)
    await admin(service, "GET", "campaigns/sale/report", 200)
    async with service.client.get("/v1/popups?placement=few", headers=bearer("ani")) as response:
        assert response.status == 200


async def _upload_in_parts(service: Service) -> None:
    uploads = "/v1/admin/campaigns/sale/audience/uploads"
    for end in ("/complete", ""):
        async with service.client.post(f"{uploads}?mode=add", headers=ADMIN) as response:
            path = response.headers["Location"]
        part = {**ADMIN, "Content-Type": "application/partial-upload", "Upload-Offset": "0"}
        async with service.client.patch(path, data="ani\nbudi\n", headers=part) as response:
            assert response.status == 200, await response.text()
        async with service.client.request("POST" if end else "DELETE", path + end, headers=ADMIN) as response:
            assert response.ok, await response.text()
