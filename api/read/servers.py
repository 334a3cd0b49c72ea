"""The servers that a process reads from: each host of the replica's DSN, and the primary."""

from api.config import ApiConfig
from api.database import primary_reader_connection, replica_connection
from api.read.server import Server
from buffer.connection import Connect
from buffer.hosts import split_hosts
from buffer.primary import Primary


def replica_servers(config: ApiConfig, primary: Primary, instance: int) -> list[Server]:
    """In the order of preference, another one first in each worker, so that they share the load.

    Named by their place in the DSN. Raises ValueError for a DSN that makes no sense.
    """
    hosts = split_hosts(config.replica_dsn) if config.replica_dsn else ()
    servers = []
    for number, host in enumerate(hosts, start=1):
        name = "replica" if len(hosts) == 1 else f"replica {number}"
        connect = replica_connection(
            host,
            primary.fence,
            name=f"{name} {config.worker}",
            timeout_seconds=config.database_timeout_seconds,
        )
        servers.append(_server(name, connect, config, instance))
    first = config.worker % max(1, len(servers))
    return servers[first:] + servers[:first]


def primary_server(config: ApiConfig, primary: Primary, instance: int) -> Server:
    connect = primary_reader_connection(primary, name=f"primary {config.worker}")
    return _server("primary", connect, config, instance)


def _server(name: str, connect: Connect, config: ApiConfig, instance: int) -> Server:
    return Server(
        name,
        connect,
        instance=instance,
        timeout_seconds=config.read_timeout_seconds,
        connect_seconds=config.database_timeout_seconds,
    )
