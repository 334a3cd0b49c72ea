"""The old design's tables, from Tayang's data."""

from pathlib import Path
from typing import Any, Final, LiteralString

import psycopg

from loadtests.baselines.answers import popup

_SQL: Final = Path(__file__).parent / "sql"


def create(primary: psycopg.Connection[Any]) -> None:
    """Of the live campaigns, lists and counts that are there now; `primary` commits each statement."""
    for statement in _statement("old_design_tables").split(";"):
        if statement.strip():
            primary.execute(statement)
    campaigns = primary.execute(
        "SELECT id, key, placement, priority, content FROM old_design.campaigns"
    ).fetchall()
    for campaign_id, key, placement, priority, content in campaigns:
        # Rendered once, as a service would keep it beside the campaign.
        text = popup(campaign_id, key, placement, priority, content)
        primary.execute("UPDATE old_design.campaigns SET popup = %s WHERE id = %s", (text, campaign_id))
    primary.execute("VACUUM (ANALYZE) old_design.campaigns, old_design.campaign_caps")
    primary.execute("VACUUM (ANALYZE) old_design.campaigns_targets, old_design.impressions")


def _statement(name: str) -> LiteralString:
    # A file of ours is as good as a literal.
    return (_SQL / f"{name}.sql").read_text()
