"""`tayang campaigns export`: every campaign, and the policy, as files that git can compare."""

import json
from dataclasses import dataclass, field
from pathlib import Path

from rich.console import Console

from tayang.admin_client import FAILED, AdminClient, ServiceError
from tayang.as_code.catalog import Catalog, read_catalog
from tayang.as_code.documents import (
    campaign_document,
    policy_document,
    stored_campaign,
    stored_policy,
    text_of,
)
from tayang.as_code.files import CAMPAIGNS_FOLDER, POLICY_FILE


@dataclass
class Exported:
    """Files by what happened to them. `without_campaign` are left as they are."""

    written: list[str] = field(default_factory=list)
    unchanged: int = 0
    without_campaign: list[str] = field(default_factory=list)


async def export(client: AdminClient, directory: Path, *, as_json: bool) -> int:
    """DIR/policy.json and DIR/campaigns/KEY.json. Exit code 0; raises ServiceError, and OSError."""
    texts = _texts(await read_catalog(client))
    exported = _write(directory, texts)
    out = Console(soft_wrap=True, markup=False, highlight=False)
    if as_json:
        out.print(json.dumps(exported.__dict__, ensure_ascii=False))
        return 0
    for file in exported.without_campaign:
        out.print(f"{file}: the service has no campaign with this key; left as it is")
    out.print(f"{len(exported.written)} files written, {exported.unchanged} unchanged, in {directory}")
    return 0


def _texts(catalog: Catalog) -> dict[str, str]:
    """By path within the directory."""
    policy = stored_policy(catalog.policy)
    if policy is None:
        raise _unreadable("the policy")
    texts = {POLICY_FILE: text_of(policy_document(policy))}
    for key, document in catalog.campaigns.items():
        campaign = stored_campaign(document)
        if campaign is None:
            raise _unreadable(f"the campaign {key}")
        texts[f"{CAMPAIGNS_FOLDER}/{key}.json"] = text_of(campaign_document(campaign))
    return texts


def _write(directory: Path, texts: dict[str, str]) -> Exported:
    """A file that says the same already is not touched."""
    exported = Exported()
    (directory / CAMPAIGNS_FOLDER).mkdir(parents=True, exist_ok=True)
    for name, text in texts.items():
        file = directory / name
        if file.is_file() and file.read_bytes() == text.encode():
            exported.unchanged += 1
        else:
            file.write_text(text, encoding="utf-8")
            exported.written.append(str(file))
    there = sorted((directory / CAMPAIGNS_FOLDER).glob("*.json"))
    exported.without_campaign = [
        str(file) for file in there if f"{CAMPAIGNS_FOLDER}/{file.name}" not in texts
    ]
    return exported


def _unreadable(what: str) -> ServiceError:
    detail = f"{what} has fields that this version doesn't know, or was spoilt by hand: nothing was written"
    return ServiceError(FAILED, detail)
