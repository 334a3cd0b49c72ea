"""The secrets that `tayang up` makes up, kept under the data directory for the next start."""

import json
import os
import secrets
from pathlib import Path
from typing import Any

from tayang.settings import Settings

_FILE = Path("secrets") / "service.json"


def with_secrets(settings: Settings) -> Settings:
    """The settings, with what they lack taken from the data directory, or made up and stored there."""
    file = settings.data_dir / _FILE
    stored: dict[str, Any] = json.loads(file.read_text()) if file.exists() else {}
    known = dict(stored)
    stored.setdefault("admin_key", secrets.token_urlsafe(24))
    stored.setdefault("token_secrets", [secrets.token_urlsafe(32)])
    stored.setdefault("user_jwt_secret", secrets.token_urlsafe(32))
    if stored != known:
        write_private(file, json.dumps(stored, indent=1))
    lacking: dict[str, Any] = {}
    if not settings.admin_key:
        lacking["admin_key"] = stored["admin_key"]
    if not settings.token_secrets:
        lacking["token_secrets"] = tuple(stored["token_secrets"])
    key_files = settings.user_jwt_public_key_file, settings.user_jwt_jwks_file
    if not settings.user_jwt_secret and key_files == (None, None):
        lacking["user_jwt_secret"] = stored["user_jwt_secret"]
    return settings.model_copy(update=lacking)


def write_private(file: Path, text: str) -> None:
    """Write a file that only its owner can read, whole or not at all."""
    file.parent.mkdir(parents=True, exist_ok=True)
    fresh = file.with_name(file.name + ".new")
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w") as stream:
        stream.write(text)
    fresh.replace(file)
