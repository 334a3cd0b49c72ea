"""The main job, by the generated client alone: create, serve, confirm, capped, report.

Runs in the environment of the client, which has nothing of ours: `main_job.py URL ADMIN_KEY USER_JWT`, with
the generated package `tayang_client` on the path. Raises AssertionError where the service answers otherwise.
"""

# mypy: ignore-errors
# (The client is made when this runs. What it has is what the document says: a wrong name fails.)

import io
import sys
import time
from collections.abc import Callable
from http import HTTPStatus
from typing import Any, Final

from tayang_client.api.app import get_popups, post_impressions, post_interactions
from tayang_client.api.audiences import get_audience_size, upload_audience
from tayang_client.api.audit_log import list_audit
from tayang_client.api.campaigns import (
    archive_campaign,
    create_campaign,
    get_campaign,
    list_campaigns,
    patch_campaign,
)
from tayang_client.api.keys import create_key, revoke_key
from tayang_client.api.policy import get_policy
from tayang_client.api.reports import explain, get_report
from tayang_client.models import (
    Campaign,
    CampaignIn,
    CampaignInStatus,
    CampaignPatch,
    CampaignPatchStatusType0,
    CampaignStatus,
    Cap,
    Condition,
    ConditionOp,
    GetPopupsAttributes,
    Impression,
    Impressions,
    Interaction,
    InteractionKind,
    KeyIn,
    KeyInScopesItem,
    Popup,
    Problem,
    Variant,
    VariantContent,
)
from tayang_client.types import File

from tayang_client import AuthenticatedClient

_KEY: Final = "generated"
_WAIT_SECONDS: Final = 20.0


def main(url: str, admin_key: str, user_jwt: str) -> None:
    admin = AuthenticatedClient(base_url=url, token=admin_key, raise_on_unexpected_status=True)
    phone = AuthenticatedClient(base_url=url, token=user_jwt, raise_on_unexpected_status=True)
    made = _create(admin)
    _show_until_capped(phone)
    _explained(admin)
    _reported(admin)
    _change(admin, made)
    _others(admin)
    print("create, serve, confirm, capped, report: done by the generated client")  # noqa: T201


def _create(admin: AuthenticatedClient) -> Campaign:
    wanted = CampaignIn(
        key=_KEY,
        name="Made by the generated client",
        status=CampaignInStatus.LIVE,
        placement="generated",
        targeting=Condition(attribute="attr.tier", op=ConditionOp.EQ, value="gold"),
        caps=[Cap(limit=2, window="24h")],
        variants=[Variant(key="a", weight=1, content=_content(title="Hello"))],
    )
    answer = create_campaign.sync_detailed(client=admin, body=wanted)
    assert answer.status_code == HTTPStatus.CREATED, answer.content
    assert answer.headers["Location"].endswith(str(answer.parsed.id))
    again = create_campaign.sync(client=admin, body=wanted)
    assert isinstance(again, Problem)
    assert again.code == "key_taken"
    return answer.parsed


def _show_until_capped(phone: AuthenticatedClient) -> None:
    _until(lambda: _popups(phone), "the campaign is served")
    token = ""
    for _ in range(2):
        (popup,) = _popups(phone)
        assert popup.content.additional_properties == {"title": "Hello"}
        token = popup.token
        assert post_impressions.sync(client=phone, body=Impression(token=token)).accepted == 1
    assert _popups(phone) == [], "the cap is reached"
    again = post_impressions.sync(client=phone, body=Impressions([Impression(token), Impression("forged")]))
    assert again.accepted == 1
    assert [(each.index, each.code) for each in again.rejected] == [(1, "token_malformed")]
    click = Interaction(token=token, kind=InteractionKind.CLICK)
    assert post_interactions.sync(client=phone, body=click).accepted == 1


def _explained(admin: AuthenticatedClient) -> None:
    told = explain.sync(client=admin, user_id="ani", placement="generated", attributes=_tier(), campaign=_KEY)
    assert told.campaigns[0].verdict == "capped", told
    assert told.campaigns[0].reasons[0].again_from.at > told.at


def _reported(admin: AuthenticatedClient) -> None:
    def merged() -> Any:
        report = get_report.sync(client=admin, id=_KEY)
        return report if (report.total.impressions, report.total.clicks) == (2, 1) else None

    report = _until(merged, "both impressions and the click are in the report")
    assert (report.reach, report.total.ctr) == (1, 0.5)
    assert [(each.times, each.users) for each in report.frequency] == [(2, 1)]


def _change(admin: AuthenticatedClient, made: Campaign) -> None:
    """With the ETag that was read; what has changed meanwhile is a conflict."""
    etag = get_campaign.sync_detailed(client=admin, id=str(made.id)).headers["ETag"]
    paused = CampaignPatch(status=CampaignPatchStatusType0.PAUSED)
    changed = patch_campaign.sync(client=admin, id=_KEY, body=paused, if_match=etag)
    assert (changed.status, changed.version) == (CampaignStatus.PAUSED, made.version + 1)
    stale = patch_campaign.sync(client=admin, id=_KEY, body=CampaignPatch(priority=1), if_match=etag)
    assert (stale.code, stale.current_version) == ("version_conflict", changed.version)
    assert archive_campaign.sync_detailed(client=admin, id=_KEY).status_code == HTTPStatus.NO_CONTENT
    kept = next(each for each in list_campaigns.sync(client=admin, limit=200).campaigns if each.key == _KEY)
    assert kept.status == CampaignStatus.ARCHIVED


def _others(admin: AuthenticatedClient) -> None:
    users = File(payload=io.BytesIO(b"ani\nbudi\n"))
    assert upload_audience.sync(client=admin, id=_KEY, body=users).added == 2
    assert get_audience_size.sync(client=admin, id=_KEY).members == 2
    key = create_key.sync(client=admin, body=KeyIn(name="generated", scopes=[KeyInScopesItem.DELIVER]))
    assert key.key.startswith(f"tyk_{key.id}_")
    assert revoke_key.sync_detailed(client=admin, id=key.id).status_code == HTTPStatus.NO_CONTENT
    assert get_policy.sync(client=admin).version >= 1
    assert list_audit.sync(client=admin, what=f"key:{key.id}").entries[-1].action == "insert"


def _popups(phone: AuthenticatedClient) -> list[Popup]:
    answer = get_popups.sync(client=phone, placement="generated", attributes=_tier())
    assert not isinstance(answer, Problem), answer
    return answer.popups


def _tier() -> GetPopupsAttributes:
    return GetPopupsAttributes.from_dict({"attr.tier": "gold"})


def _content(**members: str) -> VariantContent:
    return VariantContent.from_dict(members)


def _until(condition: Callable[[], Any], what: str) -> Any:
    deadline = time.monotonic() + _WAIT_SECONDS
    while not (value := condition()):
        assert time.monotonic() < deadline, f"after {_WAIT_SECONDS:g} s still not so: {what}"
        time.sleep(0.01)
    return value


if __name__ == "__main__":
    main(*sys.argv[1:])
