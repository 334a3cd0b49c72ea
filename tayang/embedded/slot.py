"""What the primary tells of its replica's slot."""

import psycopg

from tayang.embedded.config import SLOT
from tayang.embedded.queries import query


def renew_slot(connection: psycopg.Connection[object]) -> bool:
    """Make the slot if there is none that serves; True when WAL that the replica needs may be gone."""
    connection.execute(query("drop_lost_slot"), {"slot": SLOT})
    return connection.execute(query("create_slot"), {"slot": SLOT}).rowcount > 0


def is_true(connection: psycopg.Connection[object], name: str) -> bool:
    """The answer of a statement in `sql/` that asks one thing of the slot."""
    row = connection.execute(query(name), {"slot": SLOT}).fetchone()
    return row == (True,)
