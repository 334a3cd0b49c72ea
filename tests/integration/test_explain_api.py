"""`GET /v1/admin/explain` in both processes: the same verdicts as the popups, with reasons and times."""
from tests.support.service import ADMIN_KEY, Service

async def test_x(service: Service, database) -> None:
    await service.create("sale", caps=[{"limit":1,"window":"day"}], timezone="Asia/Jakarta")
    await service.create("b", targeting={"attribute":"platform","op":"eq","value":"ios"})
    await service.show("ani")
    async with service.client.get("/v1/admin/explain?user_id=ani&placement=home", headers={"Authorization":f"Bearer {ADMIN_KEY}"}) as r:
        print(r.status, await r.text())
    raise AssertionError
