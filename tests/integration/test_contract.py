"""Real answers of a service against its own document, and /openapi.json and /docs themselves."""

import re
from collections.abc import AsyncIterator
from typing import Any

import pytest

from api.access.table import TABLE
from api.admin.audit import KINDS
from tests.contract.attack import attack
from tests.support.contract import Forms, resolved
from tests.support.database import Database
from tests.support.keys import holding
from tests.support.service import ADMIN_KEY, Service, bearer, user_jwt
from tests.support.waiting import until

Answered = dict[str, Any]

_CAMPAIGN = {
    "key": "sale",
    "name": "Sale",
    "status": "live",
    "placement": "home",
    "schedule": [{"days": ["mon", "tue", "wed", "thu", "fri", "sat", "sun"], "from": "00:00", "to": "24:00"}],
    "targeting": {"not": {"attribute": "country", "op": "eq", "value": "SG"}},
    "caps": [{"limit": 2, "window": "24h"}],
    "cooldown": "1s",
    "stop_after": {"click": 5, "dismiss": {"count": 2, "for": "7d"}},
    "budget": {"total": 1000},
    "holdout_percent": 0.5,
    "variants": [{"key": "a", "weight": 1, "content": {"title": "Sale"}}],
}


class Caller:
    """Asks by operationId, and holds every answer against the document."""

    def __init__(self, service: Service, document: dict[str, Any]) -> None:
        self._service = service
        self._document = document
        self._forms = Forms(document)
        self._operations = {
            operation["operationId"]: (method.upper(), path, operation)
            for path, item in document["paths"].items()
            for method, operation in item.items()
        }
        self.asked: set[str] = set()

    @property
    def never_asked(self) -> set[str]:
        return set(self._operations) - self.asked

    async def ask(
        self,
        name: str,
        *,
        status: int,
        body: Any = None,
        headers: dict[str, str] | None = None,
        **values: Any,
    ) -> Answered:
        """`values` are parameters; without `headers` an administrator calls."""
        method, path, operation = self._operations[name]
        query = {}
        for parameter in operation.get("parameters", ()):
            value = values.pop(parameter["name"], None)
            if value is not None and parameter["in"] == "path":
                path = path.replace("{" + parameter["name"] + "}", str(value))
            elif value is not None:
                query[parameter["name"]] = value
        assert not values, f"{name} has no parameters {values}"
        sent = {"json": body} if isinstance(body, dict) else {"data": body}
        if name == "patchCampaign":
            headers = {**(headers or holding(ADMIN_KEY)), "Content-Type": "application/merge-patch+json"}
        async with self._service.client.request(
            method, path, params=query, headers=headers or holding(ADMIN_KEY), **sent
        ) as response:
            text = await response.text()
            assert response.status == status, (name, text)
            answer = await response.json(content_type=None) if "json" in response.content_type else text
            self._check(operation, response, answer)
        self.asked.add(name)
        return {"body": answer, "headers": response.headers}

    def _check(self, operation: dict[str, Any], response: Any, answer: Any) -> None:
        told = resolved(self._document, operation["responses"][str(response.status)])
        headers = {name: resolved(self._document, header) for name, header in told.get("headers", {}).items()}
        missing = {name for name in headers if headers[name]["required"] and name not in response.headers}
        assert not missing, (operation["operationId"], missing)
        if "content" not in told:
            assert answer == ""
            return
        schema = told["content"][response.content_type]["schema"]
        found = self._forms.validator(schema, strict=True).iter_errors(answer)
        assert [error.message for error in found] == [], operation["operationId"]
        if response.status >= 400:
            assert answer["code"] in told["x-codes"]


@pytest.fixture
async def caller(service: Service) -> AsyncIterator[Caller]:
    async with service.client.get("/openapi.json") as response:
        assert response.content_type == "application/json"
        yield Caller(service, await response.json())


async def test_every_route_answers_as_the_document_says(
    service: Service, database: Database, caller: Caller
) -> None:
    ask, ani = caller.ask, bearer("ani")
    number = (await ask("createCampaign", status=201, body=_CAMPAIGN))["body"]["id"]
    await ask("createCampaign", status=409, body=_CAMPAIGN)
    await ask("createCampaign", status=422, body={"key": "sale", "caps": 1})
    await database.caught_up()
    await until(lambda: service.popups("ani"), "the budget is known")
    popup = (await ask("getPopups", status=200, headers=ani, placement="home"))["body"]["popups"][0]
    await ask("postImpressions", status=202, headers=ani, body={"token": popup["token"]})
    both = {"interactions": [{"token": popup["token"], "kind": "click"}, {"token": "x", "kind": "click"}]}
    assert (await ask("postInteractions", status=202, headers=ani, body=both))["body"]["accepted"] == 1
    await ask("postInteractions", status=400, headers=ani, body={"token": "x", "kind": "click"})
    await database.merge()
    await ask("explain", status=200, user_id="ani", placement="home")
    await ask("explain", status=200, user_id="ani", placement="home", campaign="sale")
    await ask("getReport", status=200, id="sale")
    await ask("getReport", status=200, id="sale", format="csv")
    await ask("getNoShows", status=200, id="sale")
    await _campaigns(caller, number)
    await _rest_of_the_admin_api(caller)
    for name in ("getHealth", "getReadiness", "getMetrics", "getOpenapi", "getDocs", "getDocsStyle"):
        await ask(name, status=200)
    await ask("listCampaigns", status=401, headers={"Authorization": "Bearer nobody"})
    assert caller.never_asked == set()


async def _campaigns(caller: Caller, number: int) -> None:
    ask = caller.ask
    await ask("listCampaigns", status=200, limit=1)
    await ask("getCampaign", status=200, id=number)
    await ask("getCampaign", status=404, id="nothing")
    await ask("replaceCampaign", status=200, id="sale", body={**_CAMPAIGN, "name": "A sale", "version": 1})
    await ask("replaceCampaign", status=412, id="sale", body={**_CAMPAIGN, "name": "The sale", "version": 1})
    await ask("patchCampaign", status=428, id="sale", body={"priority": 2})
    await ask("patchCampaign", status=200, id="sale", body={"priority": 2, "version": 2})
    csv = {**holding(ADMIN_KEY), "Content-Type": "text/csv"}
    await ask("uploadAudience", status=200, id="sale", body=b"ani\nbudi\n", headers=csv)
    await ask("uploadAudience", status=422, id="sale", body=b"ani\n\x01\n", headers=csv)
    await ask("getAudienceSize", status=200, id="sale")
    await _upload_in_parts(caller)
    await ask("createPreview", status=201, id="sale")
    await ask("archiveCampaign", status=204, id="sale")


async def _upload_in_parts(caller: Caller) -> None:
    ask, admin = caller.ask, holding(ADMIN_KEY)
    opened = await ask("createAudienceUpload", status=201, id="sale", headers={**admin, "Upload-Length": "9"})
    await ask("createAudienceUpload", status=413, id="sale", headers={**admin, "Upload-Length": "9" * 18})
    one = opened["body"]["id"]
    await _send_part(caller, one, b"ani\n", offset=0, status=200)
    await _send_part(caller, one, b"ani\n", offset=1, status=409)
    await ask("completeAudienceUpload", status=409, id="sale", upload=one)
    await ask("getAudienceUpload", status=200, id="sale", upload=one)
    await ask("listAudienceUploads", status=200, id="sale")
    await _send_part(caller, one, b"budi\n", offset=4, status=200)
    older = {**admin, "If-Match": '"99"'}
    await ask("completeAudienceUpload", status=412, id="sale", upload=one, headers=older)
    await ask("completeAudienceUpload", status=200, id="sale", upload=one)
    await ask("getAudienceUpload", status=200, id="sale", upload=one)
    await _send_part(caller, one, b"joko\n", offset=9, status=409)
    await ask("deleteAudienceUpload", status=204, id="sale", upload=one)
    await ask("getAudienceUpload", status=404, id="sale", upload=one)
    wrong = (await ask("createAudienceUpload", status=201, id="sale"))["body"]["id"]
    await _send_part(caller, wrong, b"\x01\n", offset=0, status=200)
    await ask("completeAudienceUpload", status=422, id="sale", upload=wrong)


async def _send_part(caller: Caller, upload: str, part: bytes, *, offset: int, status: int) -> None:
    headers = {"Content-Type": "application/partial-upload", "Upload-Offset": str(offset)}
    await caller.ask(
        "appendAudienceUpload",
        status=status, id="sale", upload=upload, body=part, headers={**holding(ADMIN_KEY), **headers},
    )  # fmt: skip


async def _rest_of_the_admin_api(caller: Caller) -> None:
    ask = caller.ask
    await ask("getPolicy", status=200)
    await ask("replacePolicy", status=200, body={"tags": {"promo": {"min_gap": "60s"}}, "version": 1})
    await ask("putTestUser", status=201, user_id="joko", body={"note": "QA"})
    await ask("putTestUser", status=200, user_id="joko", body={"note": "QA, Pixel 9"})
    await ask("listTestUsers", status=200)
    await ask("deleteTestUser", status=204, user_id="joko")
    key = (await ask("createKey", status=201, body={"name": "crm", "scopes": ["ingest"]}))["body"]["id"]
    await ask("getKey", status=200, id=key)
    await ask("rotateKey", status=200, id=key)
    await ask("revokeKey", status=204, id=key)
    await ask("listKeys", status=200)
    await ask("eraseUser", status=422, user_id="%01")
    erasure = (await ask("eraseUser", status=202, user_id="ani"))["body"]["id"]
    await ask("getErasure", status=200, id=erasure)
    await ask("getErasure", status=404, id="nothing")
    audit = (await ask("listAudit", status=200))["body"]["entries"]
    assert {entry["kind"] for entry in audit} == set(KINDS)
    for kind in KINDS:
        await ask("listAudit", status=200, what=kind)


async def test_it_is_asked_for_once(service: Service) -> None:
    for path in ("/openapi.json", "/docs", "/docs/style.css"):
        async with service.client.get(path) as response:
            etag, body = response.headers["ETag"], await response.read()
            assert response.status == 200
            assert body
        for known, status in (
            (etag, 304),
            (f'"other", W/{etag.removeprefix("W/")}', 304),
            ("*", 304),
            ('"other"', 200),
        ):
            async with service.client.get(path, headers={"If-None-Match": known}) as response:
                assert response.status == status, known
                assert response.headers["ETag"].removeprefix("W/") == etag.removeprefix("W/")
                assert await response.read() == (b"" if status == 304 else body)


async def test_the_page_may_load_its_style_and_nothing_else(service: Service) -> None:
    async with service.client.get("/docs") as response:
        policy = dict(part.split(" ", 1) for part in response.headers["Content-Security-Policy"].split("; "))
        assert response.content_type == "text/html"
    assert policy["default-src"] == "'none'"
    assert policy["style-src"] == "'self'"
    assert "script-src" not in policy


async def test_every_path_refuses_the_methods_that_it_does_not_have(service: Service) -> None:
    async with service.client.get("/openapi.json") as response:
        paths = (await response.json())["paths"]
    for path, item in paths.items():
        for method in {"get", "put", "post", "patch", "delete"} - set(item):
            async with service.client.request(method, re.sub(r"\{\w+\}", "1", path)) as response:
                assert response.status == 405, (method, path)
                allowed = {each.strip().lower() for each in response.headers["Allow"].split(",")}
                assert allowed - {"head", "options"} == set(item)


async def test_requests_made_from_the_document_find_nothing(service: Service, tmp_path: Any) -> None:
    """Few of them: `make contract` sends 50,000."""
    await service.create("always")
    outcome = await attack(
        f"http://{service.address[0]}:{service.address[1]}", tmp_path, seed=1, max_examples=2,
        key=ADMIN_KEY, jwt=user_jwt("ani"), phases="fuzzing,stateful", timeout_seconds=100,
    )  # fmt: skip

    assert outcome.passed, outcome.output
    asked = {operation for operation, _, _ in outcome.counts}
    assert asked == set(TABLE) - {"GET /openapi.json"}, "it has read that one already"
