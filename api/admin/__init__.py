"""The admin API: campaigns, audiences, policy, test users; on the primary, for holders of the admin key."""

from aiohttp import web

from api.admin import campaigns, no_shows, policy, previews, testers
from api.admin.audience import AudienceUploads
from api.admin.auth import Handler, admin_only
from api.admin.reports.handler import get_report
from api.explain.handler import get_explanation

_COLLECTION = "/v1/admin/campaigns"
_ONE = _COLLECTION + "/{id}"
_AUDIENCE = _ONE + "/audience"
_PREVIEW = _ONE + "/preview"
_NO_SHOWS = _ONE + "/no-shows"
_REPORT = _ONE + "/report"
_POLICY = "/v1/admin/policy"
_TESTERS = "/v1/admin/test-users"
_TESTER = _TESTERS + "/{user_id:[^/]+}"  # braces too, which a plain {user_id} would not take


def admin_routes() -> list[web.RouteDef]:
    """Every route under /v1/admin, each behind the admin key.

    They need CONFIG and PRIMARY_POOL (api.keys) and EXPLAINER in the application, the pool's `init` being
    `api.admin.store.init_connection`, and a middleware that renders ProblemError.
    """
    uploads = AudienceUploads()
    table: list[tuple[str, str, Handler]] = [
        ("GET", _COLLECTION, campaigns.list_campaigns),
        ("POST", _COLLECTION, campaigns.create_campaign),
        ("GET", _ONE, campaigns.get_campaign),
        ("PUT", _ONE, campaigns.put_campaign),
        ("PATCH", _ONE, campaigns.patch_campaign),
        ("DELETE", _ONE, campaigns.delete_campaign),
        ("GET", _AUDIENCE, uploads.size),
        ("PUT", _AUDIENCE, uploads.put),
        ("POST", _PREVIEW, previews.create_preview),
        ("GET", _NO_SHOWS, no_shows.get_no_shows),
        ("GET", _REPORT, get_report),
        ("GET", _POLICY, policy.get_policy),
        ("PUT", _POLICY, policy.put_policy),
        ("GET", _TESTERS, testers.list_testers),
        ("PUT", _TESTER, testers.put_tester),
        ("DELETE", _TESTER, testers.delete_tester),
        ("GET", "/v1/admin/explain", get_explanation),
    ]
    return [web.route(method, path, admin_only(handler)) for method, path, handler in table]
