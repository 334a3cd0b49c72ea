"""A PostgreSQL primary and a real streaming replica, run as child processes for development and tests."""

from tayang.embedded.cluster import EmbeddedCluster
from tayang.embedded.errors import EmbeddedError
from tayang.embedded.node import Node

__all__ = ["EmbeddedCluster", "EmbeddedError", "Node"]
