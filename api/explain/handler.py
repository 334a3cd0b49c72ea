"""`GET /v1/admin/explain`, in an api process and in the backoffice."""

import gc
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Final

from aiohttp import web
from pydantic_core import to_json

from api.campaigns.asked import Asked
from api.campaigns.explanation import Verdict, explain
from api.campaigns.live import LiveCampaign
from api.campaigns.windows import to_us
from api.explain.accounts import Accounts, read_accounts
from api.explain.document import Document
from api.explain.memory import Memory
from api.explain.moments import iso
from api.explain.question import Question, parse_question
from api.explain.reading import Other, Others
from api.explain.reasons import Reasons
from api.http.popups import asked_by
from api.read.reader import Reader, View

_HEADERS: Final = {"Content-Type": "application/json", "Cache-Control": "no-store"}


class Explainer:
    """`leases`: whether this process serves popups, and so judges hard budgets by its own units."""

    def __init__(self, reader: Reader, *, leases: bool, clock_ns: Callable[[], int] = time.time_ns) -> None:
        self._reader = reader
        self._others = Others(reader)
        self._memory = Memory()
        self._leases = leases
        self._clock_ns = clock_ns

    async def answer(self, question: Question) -> bytes:
        """The JSON. Raises ProblemError: 404 for a campaign that isn't there, 503."""
        view = await self._reader.view(question.user_id)
        now_us = self._clock_ns() // 1000
        at_us = now_us if question.at_us is None else question.at_us
        accounts = await read_accounts(self._reader, view.catalog, at_us)
        others = await self._other_campaigns(question, view)
        with _no_collection():
            return self._written(question, view, now_us, accounts, others)

    async def _other_campaigns(self, question: Question, view: View) -> Sequence[Other]:
        name = question.campaign
        if name is None:
            return await self._others.newest(view.catalog)
        if any(_is(name, campaign) for campaign in view.catalog.campaigns.values()):
            return ()
        return (await self._others.find(name),)

    def _written(
        self, question: Question, view: View, now_us: int, accounts: Accounts, others: Sequence[Other]
    ) -> bytes:
        asked = self._asked(question, view, now_us, accounts)
        context = question.query.context
        verdicts = explain(view.catalog, context, asked)
        name = question.campaign
        written = self._memory.of(view.catalog)
        reasons = Reasons(asked, context, written, accounts, leases=self._leases)
        document = Document(asked, verdicts, written, reasons)
        told = verdicts if name is None else [each for each in verdicts if _is(name, each.campaign)]
        campaigns = document.campaigns(told, variants=name is not None)
        campaigns += document.others(others, context.placement)
        head = to_json(self._head(question, view, now_us, asked, verdicts)).decode()
        return f'{head[:-1]},"campaigns":[{",".join(campaigns)}]}}'.encode()

    def _asked(self, question: Question, view: View, now_us: int, accounts: Accounts) -> Asked:
        at_us = now_us if question.at_us is None else question.at_us
        asked = asked_by(question.user_id, question.query, view, now_us=at_us)
        # This process's units are those of now.
        if not self._leases or question.at_us is not None:
            asked.accounts = {budget: account.shortage for budget, account in accounts.items()}
        return asked

    def _head(
        self, question: Question, view: View, now_us: int, asked: Asked, verdicts: Sequence[Verdict]
    ) -> dict[str, object]:
        merged_us = to_us(view.snapshot.merged_at)
        return {
            "user_id": question.user_id,
            "placement": question.query.context.placement,
            "at": iso(asked.now_us),
            "as_of": iso(merged_us),
            "age_seconds": max(0, now_us - merged_us) / 1_000_000,
            "source": view.snapshot.server,
            "pending_events": view.pending,
            "test_user": asked.test,
            "globally_held_out": asked.globally_held,
            "popups": [verdict.campaign.key for verdict in verdicts if not verdict.refusals],
        }


EXPLAINER: Final = web.AppKey("explainer", Explainer)


async def get_explanation(request: web.Request) -> web.Response:
    question = parse_question(request.rel_url.raw_query_string)
    return web.Response(body=await request.app[EXPLAINER].answer(question), headers=_HEADERS)


def _is(name: str, campaign: LiveCampaign) -> bool:
    return name in (campaign.key, str(campaign.id))


@contextmanager
def _no_collection() -> Iterator[None]:
    """What is made here goes by itself; a collection on the way would walk through all campaigns."""
    gc.disable()
    try:
        yield
    finally:
        gc.enable()
