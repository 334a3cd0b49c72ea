"""POST /v1/impressions: what is accepted, when it occurred, and why something is refused."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg

from api.tokens import TokenSigner
from tests.support.database import Database
from tests.support.service import Service, ServiceFactory, bearer
from tests.support.tokens import SIGNER, token
from tests.support.waiting import until

STRANGER = TokenSigner(["a-secret-of-somebody-else"])


def served_at(signed: str) -> datetime:
    milliseconds = SIGNER.verify(signed).served_ms
    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=milliseconds)


async def buffered(database: Database) -> list[asyncpg.Record]:
    primary = await database.primary()
    return list(await primary.fetch("SELECT * FROM impression_buffer ORDER BY seq"))


async def raw_post(service: Service, body: bytes) -> tuple[int, dict[str, Any]]:
    async with service.client.post("/v1/impressions", data=body, headers=bearer("ani")) as response:
        return response.status, await response.json(content_type=None)


async def test_202_means_that_the_row_is_in_the_buffer(service: Service, database: Database) -> None:
    signed = token()
    before = datetime.now(UTC)
    assert await service.post("ani", {"token": signed}) == (202, {"accepted": 1, "rejected": []})
    (row,) = await buffered(database)
    assert row["impression_id"].bytes == SIGNER.verify(signed).impression_id
    assert (row["instance"], row["seq"]) == (service.delivery.pending.instance, 1)
    assert (row["user_id"], row["campaign_id"], row["variant"], row["kind"]) == ("ani", 7, "a", 1)
    assert before - timedelta(milliseconds=1) <= row["occurred_at"] <= datetime.now(UTC)


FORGED = token(signer=STRANGER)
MALFORMED: tuple[Any, ...] = (
    {"token": "nonsense"},
    {"token": ""},
    {"token": None},
    {"token": 7},
    {},
    {"Token": FORGED},
)


async def test_refused_tokens_have_their_own_codes(service: Service, database: Database) -> None:
    cases = [({"token": FORGED}, 403, "token_forged")]
    cases += [(event, 400, "token_malformed") for event in MALFORMED]
    for event, status, code in cases:
        answer, document = await service.post("ani", event)
        assert (answer, document["code"], document["status"]) == (status, code, status), event
        assert document["detail"]
    assert await buffered(database) == []
    assert (service.delivery.refused, service.delivery.accepted) == (len(cases), 0)


async def test_a_foreign_token_is_refused(service: Service, database: Database) -> None:
    status, document = await service.post("budi", {"token": token("ani")})
    assert (status, document["code"]) == (403, "token_foreign")
    assert "ani" not in document["detail"], "whose it is, is not the sender's business"
    assert await buffered(database) == []


async def test_a_token_is_accepted_for_so_many_seconds_after_serving(
    start_service: ServiceFactory, database: Database
) -> None:
    service = await start_service(accept_within_seconds=60)
    status, document = await service.post("ani", {"token": token(served_seconds_ago=61)})
    assert (status, document["code"]) == (410, "token_expired")
    assert "60 seconds" in document["detail"]
    assert (await service.post("ani", {"token": token(served_seconds_ago=55)}))[0] == 202
    assert len(await buffered(database)) == 1


async def test_a_popup_that_was_shown_late_still_counts(service: Service) -> None:
    """`expires_at` tells the app until when to show it; an offline phone reports it hours later."""
    assert (await service.post("ani", {"token": token(served_seconds_ago=7200)}))[0] == 202


async def test_of_a_list_the_good_ones_are_accepted_and_the_others_named(
    service: Service, database: Database
) -> None:
    good, other = token(), token()
    events = [
        {"token": good},
        {"token": FORGED},
        {"token": token("budi")},
        "no object",
        {"token": other},
        {"token": token(), "occurred_at": "yesterday"},
        {"token": token(served_seconds_ago=100_000)},
        {"token": good},
    ]
    status, document = await service.post("ani", {"impressions": events})
    assert status == 202
    assert document["accepted"] == 3, "a resend is accepted again"
    assert [(each["index"], each["code"]) for each in document["rejected"]] == [
        (1, "token_forged"),
        (2, "token_foreign"),
        (3, "token_malformed"),
        (5, "bad_request"),
        (6, "token_expired"),
    ]
    assert all(each["detail"] for each in document["rejected"])
    identities = [row["impression_id"].bytes for row in await buffered(database)]
    assert identities == [SIGNER.verify(each).impression_id for each in (good, other)]


async def test_a_list_of_which_nothing_is_accepted(service: Service, database: Database) -> None:
    events = [{"token": FORGED}, {"token": FORGED}]
    status, document = await service.post("ani", {"impressions": events})
    assert (status, document["accepted"], len(document["rejected"])) == (202, 0, 2)
    assert await buffered(database) == []


async def test_a_list_of_one_is_like_one(service: Service) -> None:
    good = {"token": token()}
    assert await service.post("ani", {"impressions": [good]}) == (202, {"accepted": 1, "rejected": []})
    status, document = await service.post("ani", {"impressions": [{"token": FORGED}]})
    assert (status, document["code"]) == (403, "token_forged")


async def test_a_hundred_events_are_one_request_and_one_more_is_refused(
    service: Service, database: Database
) -> None:
    events = [{"token": token()} for _ in range(100)]
    assert await service.post("ani", {"impressions": events}) == (202, {"accepted": 100, "rejected": []})
    assert service.delivery.flusher.stats.copies == 1
    status, document = await service.post("ani", {"impressions": [*events, {"token": token()}]})
    assert (status, document["code"]) == (413, "too_large")
    assert "101" in document["detail"]
    assert len(await buffered(database)) == 100


BODIES = {
    "bad_json": (
        b"",
        b"{",
        b'{"token": "a",}',
        b"\xff\xfe",
        b'{"token": "\xff"}',
        b'{"token": "\\ud800"}',
        b"[" * 100_000,
    ),
    "bad_request": (
        b"[]",
        b"null",
        b'"token"',
        b'{"impressions": []}',
        b'{"impressions": {}}',
        b'{"impressions": null}',
        b'{"impressions": "a"}',
    ),
}


async def test_bodies_that_are_refused(service: Service) -> None:
    for code, bodies in BODIES.items():
        for body in bodies:
            status, document = await raw_post(service, body)
            assert (status, document["code"]) == (400, code), body[:50]


async def test_a_body_that_is_too_large(start_service: ServiceFactory) -> None:
    service = await start_service(body_max_bytes=1000)
    status, document = await raw_post(service, b'{"token": "' + b"x" * 1000 + b'"}')
    assert (status, document["code"]) == (413, "too_large")


async def test_a_jwt_is_needed_whatever_is_sent(service: Service) -> None:
    for headers in ({}, {"Authorization": "Bearer nonsense"}, {"Authorization": "Basic YW5pOmFuaQ=="}):
        async with service.client.post(
            "/v1/impressions", json={"token": token()}, headers=headers
        ) as response:
            assert response.status == 401
            assert (await response.json(content_type=None))["code"] == "unauthorized"


async def test_bytes_that_are_no_text_in_the_header_are_refused_like_any_other(service: Service) -> None:
    url = service.client._base_url
    assert url is not None
    reader, writer = await asyncio.open_connection(url.host, url.port)
    writer.write(
        b"GET /v1/popups?placement=home HTTP/1.1\r\nHost: test\r\nConnection: close\r\n"
        b"Authorization: Bearer \xff\xfe.\xff.\xff\r\n\r\n"
    )
    async with asyncio.timeout(10):
        answer = await reader.read()
    writer.close()
    assert answer.startswith(b"HTTP/1.1 401 "), answer[:100]


async def test_unknown_fields_are_ignored(service: Service) -> None:
    assert (await service.post("ani", {"token": token(), "battery": 0.4}))[0] == 202


# occurred_at: a phone's clock can't move a cap.


async def occurred(service: Service, database: Database, signed: str, occurred_at: datetime) -> datetime:
    """What is stored of a time that a phone has sent."""
    event = {"token": signed, "occurred_at": occurred_at.isoformat()}
    status, document = await service.post("ani", event)
    assert status == 202, document
    stored: datetime = (await buffered(database))[-1]["occurred_at"]
    return stored


async def test_a_time_between_serving_and_now_is_kept_to_the_microsecond(
    service: Service, database: Database
) -> None:
    moment = datetime.now(UTC) - timedelta(seconds=30, microseconds=1)
    signed = token(served_seconds_ago=60)
    assert await occurred(service, database, signed, moment) == moment
    jakarta = moment.astimezone(datetime.strptime("+0700", "%z").tzinfo)
    assert await occurred(service, database, token(served_seconds_ago=60), jakarta) == moment


async def test_a_time_before_serving_becomes_that_of_serving(service: Service, database: Database) -> None:
    for early in (timedelta(milliseconds=1), timedelta(days=20_000)):
        signed = token(served_seconds_ago=60)
        assert await occurred(service, database, signed, served_at(signed) - early) == served_at(signed)


async def test_a_time_in_the_future_becomes_now(service: Service, database: Database) -> None:
    for late in (timedelta(seconds=5), timedelta(days=900_000)):
        before = datetime.now(UTC)
        stored = await occurred(service, database, token(served_seconds_ago=60), before + late)
        assert before <= stored <= datetime.now(UTC)


async def test_a_popup_served_by_a_clock_ahead_of_ours_occurs_when_it_was_served(
    service: Service, database: Database
) -> None:
    """Two servers' clocks differ a little: [served, now] is empty, and the id's day must fit."""
    signed = token(served_seconds_ago=-3)
    assert await occurred(service, database, signed, datetime.now(UTC)) == served_at(signed)


TIMES: dict[str, tuple[Any, ...]] = {
    "offset": ("2026-11-23T10:00:00", "2026-11-23"),
    "such as": (
        "yesterday",
        "",
        1_795_000_000,
        True,
        {},
        ["2026-11-23T10:00:00Z"],
        "2026-13-01T00:00:00Z",
        "9" * 1000,
    ),
}


async def test_times_that_are_refused(service: Service, database: Database) -> None:
    for part, times in TIMES.items():
        for occurred_at in times:
            status, document = await service.post("ani", {"token": token(), "occurred_at": occurred_at})
            assert (status, document["code"]) == (400, "bad_request"), occurred_at
            assert "occurred_at" in document["detail"]
            assert part in document["detail"], occurred_at
    assert await buffered(database) == []


async def test_times_at_the_ends_of_the_calendar(service: Service) -> None:
    for occurred_at in ("0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59.999999-14:00"):
        assert (await service.post("ani", {"token": token(), "occurred_at": occurred_at}))[0] == 202


# I5: bounded.


async def test_a_full_pending_list_refuses_at_once_and_queues_nothing(
    start_service: ServiceFactory, database: Database
) -> None:
    service = await start_service(pending_max_rows=3)
    events = [{"token": token()} for _ in range(2)]
    assert (await service.post("ani", {"impressions": events}))[0] == 202

    too_many = {"impressions": [{"token": token()}, {"token": token()}]}
    async with service.client.post("/v1/impressions", json=too_many, headers=bearer("ani")) as response:
        assert response.status == 503
        assert response.content_type == "application/problem+json"
        assert int(response.headers["Retry-After"]) >= 1
        assert (await response.json(content_type=None))["code"] == "buffer_full"
    assert len(service.delivery.pending) == 2, "of a list that does not fit, nothing is queued"
    assert service.delivery.accepted == 2

    assert (await service.post("ani", {"token": token()}))[0] == 202, "one still fits"
    assert (await service.post("ani", {"token": token()}))[0] == 503
    assert len(await buffered(database)) == 3

    await database.merge()
    await until(lambda: len(service.delivery.pending) == 0, "merged and seen")
    assert (await service.post("ani", {"token": token()}))[0] == 202, "there is room again"


async def test_a_full_list_still_accepts_what_it_holds(start_service: ServiceFactory) -> None:
    """An app that got no answer sends again; refusing would make it try for ever."""
    service = await start_service(pending_max_rows=1)
    signed = token()
    assert (await service.post("ani", {"token": signed}))[0] == 202
    assert (await service.post("ani", {"token": token()}))[0] == 503
    assert (await service.post("ani", {"token": signed}))[0] == 202
