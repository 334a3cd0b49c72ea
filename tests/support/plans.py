"""Plans as PostgreSQL has run them: which nodes there were, and how many rows each of them read."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import asyncpg

EXPLAIN = "EXPLAIN (ANALYZE, FORMAT JSON, TIMING OFF, BUFFERS OFF)"


@dataclass(frozen=True)
class Node:
    """`rows_read` counts over all loops, rows that a filter removed among them."""

    kind: str
    relation: str
    loops: int
    rows_read: float

    @property
    def table(self) -> str:
        """The relation without a partition's number."""
        return self.relation.rstrip("0123456789").rstrip("_")


def scans(plan: str) -> list[Node]:
    """The nodes that read a table, also those that were never executed."""
    root = json.loads(plan)[0]["Plan"]
    return [node for node in _nodes(root) if node.relation and node.kind.endswith("Scan")]


async def explain(connection: asyncpg.Connection, statement: str, *arguments: object) -> list[Node]:
    """Run the statement as it is planned for these arguments."""
    return scans(await connection.fetchval(f"{EXPLAIN} {statement}", *arguments))


def _nodes(plan: Mapping[str, Any]) -> Iterator[Node]:
    loops = int(plan["Actual Loops"])
    removed = sum(plan.get(name, 0) for name in ("Rows Removed by Filter", "Rows Removed by Index Recheck"))
    yield Node(
        plan["Node Type"],
        plan.get("Relation Name", ""),
        loops,
        (plan.get("Actual Rows", 0) + removed) * loops,
    )
    for child in plan.get("Plans", ()):
        yield from _nodes(child)
