"""Campaigns."""

from typing import Final

from api import errors
from api.admin.previews import PreviewIn
from api.campaigns.model import CampaignIn
from api.contract import answers, forms
from api.contract.routes.examples import CAMPAIGN, CAMPAIGN_IN
from api.contract.words import Answer, Body, Link, Operation, Parameter

_ID: Final = {"id": "$response.body#/id"}
_VERSIONED: Final = {**_ID, "If-Match": "$response.header.ETag"}
_ONE: Final = {
    "get": Link("getCampaign", _ID),
    "replace": Link("replaceCampaign", _VERSIONED),
    "patch": Link("patchCampaign", _VERSIONED),
    "archive": Link("archiveCampaign", _VERSIONED),
    "upload": Link("uploadAudience", _ID),
    "uploadInParts": Link("createAudienceUpload", _ID),
    "audience": Link("getAudienceSize", _ID),
    "preview": Link("createPreview", _ID),
    "report": Link("getReport", _ID),
    "noShows": Link("getNoShows", _ID),
}
_CHANGE: Final = (
    errors.KEY_TAKEN,
    errors.VERSION_CONFLICT,
    errors.INVALID,
    errors.PRECONDITION_REQUIRED,
    errors.UNSUPPORTED_MEDIA_TYPE,
)
_STATUS: Final = CampaignIn.model_fields["status"].annotation

OPERATIONS: Final = {
    "GET /v1/admin/campaigns": Operation(
        "listCampaigns",
        "Campaigns",
        "Campaigns, by ascending id",
        parameters=(
            forms.PAGE_LIMIT,
            forms.CURSOR,
            Parameter("status", _STATUS, "Only those with it.", example="live"),
            Parameter("placement", forms.Text, "Only those for it.", example="home"),
        ),
        answers=[
            Answer(
                200,
                "A page.",
                answers.CampaignPage,
                {"campaigns": [CAMPAIGN], "next_cursor": None},
                headers=["ETag", "Link"],
            )
        ],
    ),
    "POST /v1/admin/campaigns": Operation(
        "createCampaign",
        "Campaigns",
        "Make a campaign",
        body=Body(CampaignIn, CAMPAIGN_IN),
        answers=[
            Answer(201, "It is made.", answers.Campaign, CAMPAIGN, headers=["Location", "ETag"], links=_ONE)
        ],
        codes=(errors.KEY_TAKEN, errors.INVALID, errors.UNSUPPORTED_MEDIA_TYPE),
    ),
    "GET /v1/admin/campaigns/{id}": Operation(
        "getCampaign",
        "Campaigns",
        "One campaign",
        parameters=[forms.CAMPAIGN],
        answers=[Answer(200, "The campaign.", answers.Campaign, CAMPAIGN, headers=["ETag"], links=_ONE)],
    ),
    "PUT /v1/admin/campaigns/{id}": Operation(
        "replaceCampaign",
        "Campaigns",
        "Replace a campaign as a whole",
        description=forms.REPLACES,
        parameters=[forms.CAMPAIGN, forms.IF_MATCH],
        body=Body(forms.CampaignPut, {**CAMPAIGN_IN, "version": 3}),
        answers=[Answer(200, "The campaign.", answers.Campaign, CAMPAIGN, headers=["ETag"], links=_ONE)],
        codes=_CHANGE,
    ),
    "PATCH /v1/admin/campaigns/{id}": Operation(
        "patchCampaign",
        "Campaigns",
        "Change some fields of a campaign",
        description="Each field that is given replaces the current one as a whole; null resets it to its "
        "default (RFC 7396, top level). The version that was read must be named, as `If-Match` or as "
        "`version`. `application/json` is taken as well.",
        parameters=[forms.CAMPAIGN, forms.IF_MATCH],
        body=Body(
            forms.CampaignPatch,
            {"status": "paused", "version": 3},
            media_types=[
                "application/merge-patch+json"
            ],  # JSON too, but generated clients take it for another body
        ),
        answers=[Answer(200, "The campaign.", answers.Campaign, CAMPAIGN, headers=["ETag"], links=_ONE)],
        codes=_CHANGE,
    ),
    "DELETE /v1/admin/campaigns/{id}": Operation(
        "archiveCampaign",
        "Campaigns",
        "Archive a campaign",
        description="It is not served any more; its counts and its key stay, and a PATCH of `status` "
        "brings it back.",
        parameters=[forms.CAMPAIGN, forms.IF_MATCH],
        answers=[Answer(204, "It is archived.", headers=["ETag"])],
        codes=[errors.VERSION_CONFLICT],
    ),
    "POST /v1/admin/campaigns/{id}/preview": Operation(
        "createPreview",
        "Campaigns",
        "Show a campaign on a real phone before it is live",
        parameters=[forms.CAMPAIGN],
        body=Body(
            PreviewIn,
            {"user_id": "ani", "expires_in_seconds": 3600},
            required=False,
        ),
        answers=[
            Answer(
                201,
                "A token, and what the phone asks for.",
                answers.Preview,
                {
                    "preview": "AQCkAAAA",
                    "expires_at": "2026-11-01T09:00:00Z",
                    "path": "/v1/popups?placement=home&preview=AQCkAAAA",
                },
                headers=["Cache-Control"],
                links={
                    "show": Link("getPopups", {"preview": "$response.body#/preview", "placement": "home"})
                },
            )
        ],
        codes=(errors.INVALID, errors.UNSUPPORTED_MEDIA_TYPE),
    ),
}
