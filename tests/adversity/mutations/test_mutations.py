"""A few hundred of them against an api process of the tests; `make mutations` sends 10,000."""

from tests.adversity.mutations.judge import Outcome, fault
from tests.adversity.mutations.play import ask, play
from tests.adversity.mutations.requests import requests
from tests.adversity.mutations.scene import SETTINGS, good_requests
from tests.support.service import ServiceFactory

_REQUESTS = 300


async def test_whatever_is_sent_is_answered_in_order(start_service: ServiceFactory) -> None:
    service = await start_service(**SETTINGS)
    good = await good_requests("http://{}:{}".format(*service.address))
    tally = await play(service.address, good, number=_REQUESTS, seed=1)
    assert tally.faults == []
    assert tally.requests >= _REQUESTS
    assert len({status for status, _ in tally.answers}) > 8
    assert await service.ready(), "it goes on"


async def test_good_requests_are_good(start_service: ServiceFactory) -> None:
    """Else every mutation of them would be refused for something else."""
    service = await start_service()
    for request in await good_requests("http://{}:{}".format(*service.address)):
        outcome = await ask(service.address, request)
        # A key that was revoked before it is rotated, a user who was deleted: it depends on the order.
        assert outcome.status in (200, 201, 202, 204, 404, 409), (request.route, outcome)


def test_the_judge_finds_faults() -> None:
    (request, *_) = requests(admin_key="k", user_jwt="j", token="t", key_id="i")
    problem = {"content-type": "application/problem+json"}
    for outcome in (
        Outcome(0, {}, b""),
        Outcome(500, problem, b'{"code":"internal","status":500,"detail":"The failure is in the log."}'),
        Outcome(101, {}, b""),
        Outcome(400, {"content-type": "text/plain"}, b"Bad Request"),
        Outcome(400, {}, b""),
        Outcome(400, problem, b'{"code":"unheard_of","status":400,"detail":"a long enough detail"}'),
        Outcome(400, problem, b'{"code":"bad_json","status":400,"detail":""}'),
        Outcome(
            422, problem, b'{"code":"invalid","status":422,"detail":"a long enough detail","errors":[{}]}'
        ),
        Outcome(400, problem, b'{"code":"bad_parameter","status":400,"detail":"a long enough detail"}'),
    ):
        assert fault(request, outcome) is not None, outcome
    assert fault(request.noted("framing: two lengths"), Outcome(200, {}, b"", b"HTTP/1.1 200 OK")) is not None
    assert fault(request, Outcome(200, {}, b"")) is None
