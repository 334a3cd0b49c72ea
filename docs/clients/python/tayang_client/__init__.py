"""A reference client of Tayang's mobile API: fetch, show, and confirm from a queue on disk.

The rules that it keeps are those of docs/clients/README.md, which names the place of each.
"""

from tayang_client.client import Answer, Popup, TayangClient, TayangError
from tayang_client.outbox import Event, Kind, Outbox
from tayang_client.times import Pause, ServerTime

__all__ = [
    "Answer",
    "Event",
    "Kind",
    "Outbox",
    "Pause",
    "Popup",
    "ServerTime",
    "TayangClient",
    "TayangError",
]
