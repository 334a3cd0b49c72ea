"""API keys for tests, made as `tayang keys` makes them."""

from api.access.store import KeyIn, create_key
from api.access.table import Scope
from tests.support.database import Database


async def new_key(database: Database, *scopes: Scope, name: str = "test") -> tuple[str, str]:
    """Its id and its text."""
    key = KeyIn.model_validate({"name": name, "scopes": list(scopes)})
    row, text = await create_key(await database.primary(), key)
    return str(row["id"]), text


def holding(text: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {text}"}
