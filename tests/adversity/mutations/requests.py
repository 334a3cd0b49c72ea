"""A request as it should be, for every route of the table: what mutations begin with."""

import json
from dataclasses import dataclass, field, replace
from typing import Any, Final

from api.access.table import TABLE

CAMPAIGN: Final[dict[str, Any]] = {
    "key": "sale",
    "name": "Sale",
    "status": "live",
    "priority": 10,
    "placement": "home",
    "timezone": "Asia/Jakarta",
    "starts_at": "2026-01-01T00:00:00+07:00",
    "ends_at": None,
    "caps": [{"limit": 60, "window": "24h"}],
    "schedule": [{"days": ["mon"], "from": "08:00", "to": "22:00"}],
    "tags": ["promo"],
    "holdout_percent": 1,
    "targeting": {"all": [{"attribute": "platform", "op": "in", "value": ["android"]}]},
    "stop_after": {"click": {"count": 2, "for": "7d"}},
    "cooldown": "30m",
    "budget": {"total": 1000, "per_day": 50, "pacing": "asap", "hard": False},
    "variants": [{"key": "a", "weight": 1, "content": {"title": "Hi", "more": [1, {"a": None}]}}],
}
#: What the paths are about. DELETE has something of its own, so that the others go on finding theirs.
NAMES: Final = {"campaigns/{id}": "campaigns/sale", "test-users/{user_id}": "test-users/budi"}
_DELETED: Final = {"campaigns/{id}": "campaigns/plain"}
_QUERIES: Final[dict[str, dict[str, str]]] = {
    "GET /v1/popups": {
        "placement": "home",
        "limit": "5",
        "platform": "android",
        "tz": "Asia/Jakarta",
        "attr.a": "b",
    },
    "GET /v1/admin/explain": {
        "user_id": "ani",
        "placement": "home",
        "at": "2026-11-01T00:00:00Z",
        "campaign": "sale",
    },
    "GET /v1/admin/campaigns": {"limit": "2", "cursor": "", "status": "live", "placement": "home"},
    "GET /v1/admin/audit": {
        "limit": "2",
        "who": "bootstrap",
        "what": "campaign:sale",
        "since": "2026-11-01T00:00:00Z",
    },
    "GET /v1/admin/campaigns/{id}/report": {"from": "2026-11-01", "to": "2026-11-02", "format": "csv"},
    "GET /v1/admin/campaigns/{id}/no-shows": {"from": "2026-11-01", "to": "2026-11-02"},
    "PUT /v1/admin/campaigns/{id}/audience": {"mode": "add"},
}
_BODIES: Final[dict[str, dict[str, Any]]] = {
    "POST /v1/admin/campaigns": CAMPAIGN,
    "PUT /v1/admin/campaigns/{id}": CAMPAIGN,
    "PATCH /v1/admin/campaigns/{id}": {"priority": 7, "caps": [{"limit": 1, "window": "day"}]},
    "POST /v1/admin/campaigns/{id}/preview": {"user_id": "ani", "variant": "a", "expires_in_seconds": 60},
    "PUT /v1/admin/policy": {"caps": [{"limit": 50, "window": "day"}], "tags": {"promo": {"min_gap": "1s"}}},
    "PUT /v1/admin/test-users/{user_id}": {"note": "QA"},
    "POST /v1/admin/keys": {"name": "crm", "scopes": ["ingest"], "expires_at": None},
    "POST /v1/admin/keys/{id}/rotate": {"overlap_seconds": 60},
}
_CSV: Final = b"ani\nbudi\ncitra\n"

Fields = tuple[tuple[bytes, bytes], ...]


@dataclass(frozen=True)
class Request:
    """`document` is what `body` was made of; `framing` replaces the fields that say how long the body is."""

    route: str
    target: bytes
    query: tuple[tuple[bytes, bytes], ...]
    fields: Fields
    document: dict[str, Any] | None = None
    body: bytes = b""
    method: bytes = b""
    version: bytes = b"HTTP/1.1"
    framing: Fields | None = None
    #: Bytes after which the client waits for an answer, and sends no more.
    stops_after: int | None = None
    notes: tuple[str, ...] = field(default=())

    def noted(self, note: str, **changes: Any) -> "Request":
        return replace(self, notes=(*self.notes, note), **changes)

    def with_field(self, name: bytes, value: bytes) -> "Request":
        kept = tuple(each for each in self.fields if each[0].lower() != name.lower())
        return replace(self, fields=(*kept, (name, value)))

    def written(self) -> bytes:
        query = b"&".join(b"=".join(pair) for pair in self.query)
        target = self.target + (b"?" + query if query else b"")
        framing = self.framing
        if framing is None:
            framing = ((b"Content-Length", str(len(self.body)).encode()),) if self.body else ()
        head = b"".join(b"%b: %b\r\n" % each for each in (*self.fields, *framing))
        return b"%b %b %b\r\n%b\r\n%b" % (self.method, target, self.version, head, self.body)


def requests(*, admin_key: str, user_jwt: str, token: str, key_id: str) -> list[Request]:
    """One for each route; `token` is of a popup of the JWT's user, `key_id` of an API key."""
    events = {
        f"POST /v1/{plural}": {plural: [{"token": token, "kind": "click"}]}
        for plural in ("impressions", "interactions")
    }
    bodies, names = {**_BODIES, **events}, {**NAMES, "keys/{id}": f"keys/{key_id}"}
    return [_request(route, admin_key, user_jwt, bodies.get(route), names) for route in TABLE]


def _request(
    route: str, admin_key: str, user_jwt: str, document: dict[str, Any] | None, names: dict[str, str]
) -> Request:
    method, _, path = route.partition(" ")
    if method == "DELETE":
        names = {**names, **_DELETED}
    for name, value in names.items():
        path = path.replace(name, value)
    key = admin_key if path.startswith("/v1/admin") else user_jwt
    media_type = "text/csv" if path.endswith("/audience") and method == "PUT" else "application/json"
    body = _CSV if media_type == "text/csv" else b"" if document is None else json.dumps(document).encode()
    fields = {"Host": "test", "Authorization": f"Bearer {key}", "Content-Type": media_type, "If-Match": "*"}
    return Request(
        route,
        path.encode(),
        tuple((name.encode(), value.encode()) for name, value in _QUERIES.get(route, {}).items()),
        tuple((name.encode(), value.encode()) for name, value in fields.items()),
        document,
        body,
        method.encode(),
    )
