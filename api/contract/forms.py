"""Parameters' and bodies' forms that several routes share, and those of the bodies alone."""

from collections.abc import Sequence
from typing import Annotated, Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, WithJsonSchema

from api.admin.pages import DEFAULT_ROWS, MAX_ROWS
from api.campaigns.fields import SLUG, Instant
from api.campaigns.model import CampaignIn
from api.campaigns.policy import PolicyIn
from api.contract.words import Parameter
from api.http.context import LIMIT_DEFAULT, LIMIT_MAX
from api.http.submission import EVENTS_MAX
from buffer.contract import USER_ID_MAX_CHARACTERS

UserId = Annotated[
    str, Field(min_length=1, max_length=USER_ID_MAX_CHARACTERS, pattern=r"^[^\x00-\x1f\x7f-\x9f]+$")
]
#: A body that is streamed; by this format generated clients take it from a file.
Lines = Annotated[str, WithJsonSchema({"type": "string", "format": "binary"})]
Text = Annotated[str, Field(pattern=r"^[^\x00]*$")]
Attribute = Annotated[str, Field(max_length=256)]
PageLimit = Annotated[int, Field(ge=1, le=MAX_ROWS)]
PopupLimit = Annotated[int, Field(ge=1, le=LIMIT_MAX)]
Placement = Annotated[str, Field(min_length=1, max_length=256)]
#: The service keeps tokens under 320 characters; one that is longer is refused as malformed.
PopupToken = Annotated[str, Field(min_length=1, max_length=320)]


def one_of(values: Sequence[str]) -> Any:
    return Annotated[str, WithJsonSchema({"type": "string", "enum": list(values)})]


def _without_defaults(*names: str) -> Any:
    def change(schema: dict[str, Any]) -> None:
        for name in names:
            schema["properties"][name].pop("default")

    return change


def _patch(schema: dict[str, Any]) -> None:
    """Every field may be left out, and null resets it; but for the version, which is no field."""
    schema.pop("required", None)
    for name, each in schema["properties"].items():
        each.pop("default", None)
        if name != "version" and {"type": "null"} not in each.get("anyOf", ()):
            description = {"description": each.pop("description")} if "description" in each else {}
            schema["properties"][name] = {"anyOf": [each, {"type": "null"}], **description}


Version = Annotated[int, Field(ge=1, description="the version that was read; or send `If-Match`")]
_AS_READ: Final = "as it was read, or left out"


class CampaignPut(CampaignIn):
    """The whole campaign: what is left out gets its default."""

    model_config = ConfigDict(json_schema_extra=_without_defaults("version"))

    version: Version = 1
    id: int | None = Field(default=None, description=_AS_READ)
    created_at: Instant | None = Field(default=None, description=_AS_READ)
    updated_at: Instant | None = Field(default=None, description=_AS_READ)


class CampaignPatch(CampaignIn):
    """Fields that replace the current ones, each as a whole; null resets one to its default."""

    model_config = ConfigDict(json_schema_extra=_patch)

    version: Version = 1


class PolicyPut(PolicyIn):
    """The whole policy: what is left out gets its default."""

    model_config = ConfigDict(json_schema_extra=_without_defaults("version"))

    version: Version = 1
    updated_at: Instant | None = Field(default=None, description=_AS_READ)


class Impression(BaseModel):
    """A popup was shown."""

    token: PopupToken
    occurred_at: Instant | None = Field(default=None, description="when, for a phone that was offline")


class Impressions(BaseModel):
    impressions: list[Impression] = Field(min_length=1, max_length=EVENTS_MAX)


class Interaction(BaseModel):
    """The user did something with a popup."""

    token: PopupToken
    kind: Literal["click", "dismiss", "convert"]
    occurred_at: Instant | None = Field(default=None, description="when, for a phone that was offline")


class Interactions(BaseModel):
    interactions: list[Interaction] = Field(min_length=1, max_length=EVENTS_MAX)


#: Of GET /v1/popups, and of the question why.
CONTEXT: Final = (
    Parameter(
        "placement", Placement, "The place in the app, as in the campaign.", required=True, example="home"
    ),
    Parameter("limit", PopupLimit, f"At most so many popups; {LIMIT_DEFAULT} if left out.", example=5),
    Parameter("platform", Attribute, "For targeting.", example="android"),
    Parameter("app_version", Attribute, "For targeting.", example="5.2.1"),
    Parameter("locale", Attribute, "For targeting.", example="id-ID"),
    Parameter("country", Attribute, "For targeting.", example="ID"),
    Parameter(
        "attributes",
        Annotated[
            dict[Annotated[str, Field(pattern=r"^attr\.[A-Za-z0-9_.-]{1,64}$")], Attribute],
            Field(max_length=28),
        ],
        "Attributes of the app's own: each is a parameter, such as `attr.tier=gold`.",
        example={"attr.tier": "gold"},
        spread=True,
    ),
    Parameter(
        "tz",
        Attribute,
        "The phone's time zone, for dayparts by the user's clock: an IANA name, or an offset (`+07:00`).",
        example="Asia/Jakarta",
    ),
    Parameter(
        "session",
        Annotated[str, Field(max_length=128)],
        "The app's name for its session, for session caps.",
        example="8c1d",
    ),
)
ACTING_FOR: Final = Parameter(
    "user_id", UserId, "With an API key: for whom. With a user's JWT it may be left out.", example="ani"
)
CAMPAIGN: Final = Parameter(
    "id",
    Annotated[str, Field(min_length=1, max_length=64, pattern=SLUG)],
    "The campaign's id (digits) or its key.",
    where="path",
    example="ramadan-sale",
)
IF_MATCH: Final = Parameter(
    "If-Match",
    Annotated[str, Field(pattern=r'^(\*|(W/)?"[0-9]{1,10}")$')],
    "The version that was read, as its `ETag`; `*` takes any.",
    where="header",
    example='"3"',
)
REPLACES: Final = (
    "What is left out gets its default. The version that was read must be named, as `If-Match` or as "
    "`version`. Sent again after a lost answer it gives 200 again."
)
PAGE_LIMIT: Final = Parameter(
    "limit", PageLimit, f"At most so many in a page; {DEFAULT_ROWS} if left out.", example=50
)
CURSOR: Final = Parameter("cursor", Text, "`next_cursor` of the page before, as it is.")
