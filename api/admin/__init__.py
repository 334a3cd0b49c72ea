"""The admin API: campaigns, audiences, policy, test users, keys; on the primary, for holders of keys."""

from aiohttp import web
from aiohttp.typedefs import Handler

from api.access.guard import guarded
from api.admin import audit, campaigns, erasures, keys, no_shows, policy, previews, testers
from api.admin.audience import AudienceUploads, UploadPlaces
from api.admin.reports.handler import get_report
from api.admin.uploads import ResumableUploads
from api.explain.handler import get_explanation
from api.http.negotiation import negotiated

_COLLECTION = "/v1/admin/campaigns"
_ONE = _COLLECTION + "/{id}"
_AUDIENCE = _ONE + "/audience"
_UPLOADS = _AUDIENCE + "/uploads"
_UPLOAD = _UPLOADS + "/{upload}"
_PREVIEW = _ONE + "/preview"
_NO_SHOWS = _ONE + "/no-shows"
_REPORT = _ONE + "/report"
_POLICY = "/v1/admin/policy"
_KEYS = "/v1/admin/keys"
_KEY = _KEYS + "/{id}"
_TESTERS = "/v1/admin/test-users"
_TESTER = _TESTERS + "/{user_id:[^/]+}"  # braces too, which a plain {user_id} would not take
_USER = "/v1/admin/users/{user_id:[^/]+}"


def admin_routes() -> list[web.RouteDef]:
    """Every route under /v1/admin, each behind its guard.

    They need CONFIG, PRIMARY_POOL, KEYS and EXPLAINER in the application, the pool's `init` being
    `api.admin.store.init_connection`, and a middleware that renders ProblemError.
    """
    places = UploadPlaces()
    uploads, resumable = AudienceUploads(places), ResumableUploads(places)
    table: list[tuple[str, str, Handler]] = [
        ("GET", _COLLECTION, campaigns.list_campaigns),
        ("POST", _COLLECTION, campaigns.create_campaign),
        ("GET", _ONE, campaigns.get_campaign),
        ("PUT", _ONE, campaigns.put_campaign),
        ("PATCH", _ONE, campaigns.patch_campaign),
        ("DELETE", _ONE, campaigns.delete_campaign),
        ("GET", _AUDIENCE, uploads.size),
        ("PUT", _AUDIENCE, uploads.put),
        ("GET", _UPLOADS, resumable.list),
        ("POST", _UPLOADS, resumable.create),
        ("GET", _UPLOAD, resumable.get),
        ("PATCH", _UPLOAD, resumable.append),
        ("DELETE", _UPLOAD, resumable.delete),
        ("POST", _UPLOAD + "/complete", resumable.complete),
        ("POST", _PREVIEW, previews.create_preview),
        ("GET", _NO_SHOWS, no_shows.get_no_shows),
        ("GET", _REPORT, get_report),
        ("GET", _POLICY, policy.get_policy),
        ("PUT", _POLICY, policy.put_policy),
        ("GET", _TESTERS, testers.list_testers),
        ("PUT", _TESTER, testers.put_tester),
        ("DELETE", _TESTER, testers.delete_tester),
        ("GET", "/v1/admin/explain", get_explanation),
        ("DELETE", _USER, erasures.erase_user),
        ("GET", "/v1/admin/erasures/{id}", erasures.get_erasure),
        ("GET", "/v1/admin/audit", audit.list_audit),
        ("GET", _KEYS, keys.list_keys),
        ("POST", _KEYS, keys.create_key),
        ("GET", _KEY, keys.get_key),
        ("POST", _KEY + "/rotate", keys.rotate_key),
        ("DELETE", _KEY, keys.revoke_key),
    ]
    return guarded((web.route(method, path, handler) for method, path, handler in table), around=negotiated)
