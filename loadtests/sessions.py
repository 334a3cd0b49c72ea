"""Sessions on the two servers of the service under test."""

from typing import Any, Final, Self

import psycopg

from loadtests.service import Service

_CONNECT_SECONDS: Final = 10


class Sessions:
    """Context manager: a session on the primary and one on the replica."""

    def __init__(self, service: Service) -> None:
        self._primary = connect(service.primary_dsn)
        self._replica = connect(service.replica_dsn)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._primary.close()
        self._replica.close()


def connect(dsn: str) -> psycopg.Connection[Any]:
    """The caller closes it."""
    return psycopg.connect(
        dsn, autocommit=True, connect_timeout=_CONNECT_SECONDS, application_name="loadtests"
    )
