"""The hosts that a DSN names, one DSN for each.

A DSN may have them in its authority (`postgresql://u:p@h1:5432,h2:5432/db`) or as parameters
(`postgresql://u:p@/db?host=h1,h2&port=5432`), as libpq reads both. asyncpg takes such a DSN too, but asks
its hosts one after the other and waits for one that hangs, so we go through them ourselves.
"""

import re
from collections.abc import Sequence
from typing import Final, NamedTuple
from urllib.parse import quote, unquote

# urllib's parser refuses an IPv6 address that isn't the first host. As in libpq, the first @ ends the
# credentials, so a comma in a password separates nothing.
_DSN: Final = re.compile(r"(?P<user>postgres(?:ql)?://(?:[^@/?#]*@)?)(?P<hosts>[^/?#]*)(?P<path>[^?#]*)")
_HOST: Final = re.compile(r"(?P<address>\[[^\]]+\]|[^:\[\]]*)(?::(?P<port>[0-9]+))?")
#: Which of the hosts will do is for us to say.
_DROPPED: Final = frozenset({"host", "port", "target_session_attrs"})


class Host(NamedTuple):
    """`name` is for messages: address and port, no password."""

    name: str
    dsn: str


def split_hosts(dsn: str) -> tuple[Host, ...]:
    """In the DSN's order, at least one. Raises ValueError for a list that can't be understood."""
    match = _DSN.match(dsn)
    if match is None:
        raise ValueError("a DSN looks like postgresql://user:password@host:5432,host:5432/database")
    parameters = [part for part in dsn[match.end() :].removeprefix("?").split("&") if part]
    kept = [part for part in parameters if part.partition("=")[0] not in _DROPPED]
    hosts = []
    for address, port in _addresses(match["hosts"], parameters):
        authority, own = _authority(address, port)
        query = "&".join([*own, *kept])
        name = f"{unquote(address) or 'localhost'}:{port or 5432}"
        hosts.append(Host(name, f"{match['user']}{authority}{match['path']}{'?' * bool(query)}{query}"))
    return tuple(hosts)


def _addresses(authority: str, parameters: Sequence[str]) -> list[tuple[str, str]]:
    """(address, port), each as in a URL, either may be empty. As in libpq, a parameter wins."""
    by_name = {name: unquote(value) for name, _, value in (part.partition("=") for part in parameters)}
    if "host" in by_name:
        addresses = [(_quoted(address), "") for address in by_name["host"].split(",")]
    else:
        addresses = [_address_and_port(part) for part in authority.split(",")]
    if "port" in by_name:
        ports = by_name["port"].split(",")
        if len(ports) not in {1, len(addresses)}:
            raise ValueError(f"{len(addresses)} hosts need as many ports, or one for all, not {len(ports)}")
        addresses = [(address, ports[i % len(ports)]) for i, (address, _) in enumerate(addresses)]
    if len(addresses) > 1 and not all(address for address, _ in addresses):
        raise ValueError("a host is empty: look for a comma too many")
    return addresses


def _address_and_port(text: str) -> tuple[str, str]:
    match = _HOST.fullmatch(text)
    if match is None:  # the text is not shown: it may be a part of the password
        raise ValueError(
            "a host is not understood: write name:port, or [address]:port for IPv6; an @ in a password is %40"
        )
    return match["address"], match["port"] or ""


def _quoted(address: str) -> str:
    return f"[{address}]" if ":" in address and not address.startswith("[") else quote(address, safe="[]:")


def _authority(address: str, port: str) -> tuple[str, list[str]]:
    """What stands in the authority, and what has to be a parameter: the path of a socket."""
    if address.upper().startswith("%2F"):
        return "", [f"host={address}", *([f"port={port}"] if port else [])]
    return (f"{address}:{port}" if port else address), []
