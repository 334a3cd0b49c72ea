"""Who may call which route: one table.

A route that is not in it can't be served, so nothing is open by default.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal, get_args

Scope = Literal["deliver", "ingest", "campaigns:read", "campaigns:write", "users:erase", "admin"]
SCOPES: Final[tuple[Scope, ...]] = get_args(Scope)


@dataclass(frozen=True, slots=True)
class Access:
    """`scopes`: a key with one of them may. `users`: a user may, for himself, and a key for any user."""

    scopes: frozenset[Scope] = frozenset()
    users: bool = False
    public: bool = False


_PUBLIC: Final = Access(public=True)
_DELIVER: Final = Access(frozenset({"deliver"}), users=True)
_INGEST: Final = Access(frozenset({"ingest"}), users=True)
# No scope contains another, but for `admin`, which contains all that is not done in users' names.
_READ: Final = Access(frozenset({"campaigns:read", "admin"}))
_WRITE: Final = Access(frozenset({"campaigns:write", "admin"}))
_ADMIN: Final = Access(frozenset({"admin"}))
_ERASE: Final = Access(frozenset({"users:erase", "admin"}))

_CAMPAIGN: Final = "/v1/admin/campaigns/{id}"
_UPLOADS: Final = _CAMPAIGN + "/audience/uploads"

TABLE: Final[Mapping[str, Access]] = {
    "GET /healthz": _PUBLIC,
    "GET /readyz": _PUBLIC,
    "GET /metrics": _PUBLIC,
    "GET /openapi.json": _PUBLIC,
    "GET /docs": _PUBLIC,
    "GET /docs/style.css": _PUBLIC,
    "GET /v1/popups": _DELIVER,
    "POST /v1/impressions": _INGEST,
    "POST /v1/interactions": _INGEST,
    "GET /v1/admin/campaigns": _READ,
    "POST /v1/admin/campaigns": _WRITE,
    f"GET {_CAMPAIGN}": _READ,
    f"PUT {_CAMPAIGN}": _WRITE,
    f"PATCH {_CAMPAIGN}": _WRITE,
    f"DELETE {_CAMPAIGN}": _WRITE,
    f"GET {_CAMPAIGN}/audience": _READ,
    f"PUT {_CAMPAIGN}/audience": _WRITE,
    f"GET {_UPLOADS}": _READ,
    f"POST {_UPLOADS}": _WRITE,
    f"GET {_UPLOADS}/{{upload}}": _READ,
    f"PATCH {_UPLOADS}/{{upload}}": _WRITE,
    f"DELETE {_UPLOADS}/{{upload}}": _WRITE,
    f"POST {_UPLOADS}/{{upload}}/complete": _WRITE,
    f"POST {_CAMPAIGN}/preview": _WRITE,
    f"GET {_CAMPAIGN}/report": _READ,
    f"GET {_CAMPAIGN}/no-shows": _READ,
    "GET /v1/admin/policy": _READ,
    "PUT /v1/admin/policy": _WRITE,
    "GET /v1/admin/test-users": _READ,
    "PUT /v1/admin/test-users/{user_id}": _WRITE,
    "DELETE /v1/admin/test-users/{user_id}": _WRITE,
    "GET /v1/admin/explain": _READ,
    "DELETE /v1/admin/users/{user_id}": _ERASE,
    "GET /v1/admin/erasures/{id}": _ERASE,
    "GET /v1/admin/audit": _ADMIN,
    "GET /v1/admin/keys": _ADMIN,
    "POST /v1/admin/keys": _ADMIN,
    "GET /v1/admin/keys/{id}": _ADMIN,
    "POST /v1/admin/keys/{id}/rotate": _ADMIN,
    "DELETE /v1/admin/keys/{id}": _ADMIN,
}
