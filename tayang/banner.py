"""What `tayang up` prints when everything is ready: URLs, keys, processes, and lines to paste."""

import json
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path

from tayang.embedded import Node
from tayang.part import Part
from tayang.settings import Settings
from tayang.user_token import user_token

_USER = "demo-user"
_TRY = {
    "key": "try-me",
    "name": "Try me",
    "status": "live",
    "priority": 0,
    "placement": "try",
    "caps": [{"limit": 2, "window": "24h"}],
    "variants": [{"key": "a", "weight": 1, "content": {"title": "Hello"}}],
}


def banner(settings: Settings, parts: Sequence[Part], nodes: Sequence[Node]) -> str:
    api = f"http://{settings.http_host}:{settings.http_port}"
    backoffice = f"http://{settings.http_host}:{settings.backoffice_port}"
    processes = [f"{part.name} (pid {part.pid})" for part in parts]
    servers = [f"{node.name} (pid {node.pid}, port {node.port})" for node in nodes]
    lines = [
        "",
        f"Tayang is up.   API {api}   backoffice API {backoffice}",
        f"to read         {api}/docs   {api}/openapi.json   {api}/metrics",
        f"processes       {', '.join(processes + servers)}",
        f"data and logs   {settings.data_dir.resolve()}",
        f"admin key       {settings.admin_key}",
    ]
    if settings.user_jwt_secret:
        token = user_token(settings, _USER)
        lines += [
            f"user token      {token}   (user {_USER}, valid for a day)",
            "",
            *_curls(settings, api, token),
        ]
    lines += ["", f"200 users for a minute: {_command(settings)} demo        Stop everything: Ctrl-C", ""]
    return "\n".join(lines)


def _command(settings: Settings) -> str:
    """How another terminal calls this `tayang` for this service."""
    command = sys.argv[0] if Path(sys.argv[0]).name == "tayang" else "tayang"
    default = settings.data_dir == type(settings).model_fields["data_dir"].default
    return command if default else f"TAYANG_DATA_DIR={shlex.quote(str(settings.data_dir))} {command}"


def _curls(settings: Settings, api: str, token: str) -> list[str]:
    admin = f"-H 'Authorization: Bearer {settings.admin_key}'"
    user = f"-H 'Authorization: Bearer {token}'"
    body = "-H 'Content-Type: application/json' -d"
    popups = f"curl -s {user} '{api}/v1/popups?placement=try'"
    pick = """sed 's/.*"token":"\\([^"]*\\)".*/{"token":"\\1"}/'"""
    return [
        "1. Create a campaign that a user sees at most twice in 24 hours:",
        f"curl -s {admin} {body} '{json.dumps(_TRY, separators=(',', ':'))}' {api}/v1/admin/campaigns",
        "2. Ask what the user may see now:",
        popups,
        "3. Confirm that it was shown (repeat: after two, line 2 leaves it out):",
        f"{popups} | {pick} | curl -s {user} {body} @- {api}/v1/impressions",
        "4. Is every part ready?",
        f"curl -s {api}/readyz",
    ]
