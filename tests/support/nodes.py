"""What a server of an embedded cluster holds, asked without a loop."""

import psycopg

from tayang.embedded import Node
from tayang.embedded.processes import wait_until

VISIBLE_SECONDS = 10.0


def execute(node: Node, statement: str) -> object:
    """The first value of the first row, None without rows."""
    with node.connect() as connection:
        cursor = connection.execute(statement.encode())
        row = cursor.fetchone() if cursor.description else None
    return row[0] if row else None


def sees(node: Node, table: str, rows: int) -> bool:
    def is_there() -> bool:
        try:
            return execute(node, f"SELECT count(*) FROM {table}") == rows
        except psycopg.errors.UndefinedTable:
            return False

    return wait_until(is_there, VISIBLE_SECONDS)
