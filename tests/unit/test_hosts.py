"""A DSN with several hosts, taken apart; what asyncpg makes of the parts is asked of asyncpg itself."""

import pytest
from asyncpg import connect_utils

from buffer.hosts import split_hosts

Address = tuple[str, int] | str


def understood(dsn: str) -> tuple[Address, str, str | None, str, object]:
    """Address, user, password, database and settings, as asyncpg understands a DSN with one host."""
    addresses, parameters, _ = connect_utils._parse_connect_arguments(  # type: ignore[attr-defined]  # private
        **dict.fromkeys(
            (
                *("host", "port", "user", "password", "passfile", "database", "command_timeout", "ssl"),
                *("direct_tls", "server_settings", "target_session_attrs", "krbsrvname", "gsslib"),
                *("service", "servicefile"),
            )
        ),
        dsn=dsn,
        statement_cache_size=0,
        max_cached_statement_lifetime=0,
        max_cacheable_statement_size=0,
    )
    (address,) = addresses
    return (
        address,
        parameters.user,
        parameters.password,
        parameters.database,
        parameters.server_settings,
    )


@pytest.mark.parametrize(
    ("dsn", "addresses"),
    [
        ("postgresql://u:p@one/db", [("one", 5432)]),
        ("postgresql://u:p@one:1,two:2/db", [("one", 1), ("two", 2)]),
        ("postgres://u:p@one,two:2,three/db", [("one", 5432), ("two", 2), ("three", 5432)]),
        ("postgresql://u:p@[::1]:1,two:2,[fe80::2]/db", [("::1", 1), ("two", 2), ("fe80::2", 5432)]),
        ("postgresql://u:p@one,two/db?port=7", [("one", 7), ("two", 7)]),
        ("postgresql://u:p@/db?host=one,two&port=1,2", [("one", 1), ("two", 2)]),
        ("postgresql://u:p@/db?host=one,two", [("one", 5432), ("two", 5432)]),
        ("postgresql://u:p@ignored:9/db?host=one%2C::1&port=1%2C2", [("one", 1), ("::1", 2)]),
        ("postgresql://u:p@/db?host=/run/a,/run/b&port=1", ["/run/a/.s.PGSQL.1", "/run/b/.s.PGSQL.1"]),
        ("postgresql://u:p@%2Frun%2Fa:3,two/db", ["/run/a/.s.PGSQL.3", ("two", 5432)]),
    ],
)
def test_each_host_gets_a_dsn_of_its_own(dsn: str, addresses: list[Address]) -> None:
    found = [understood(host.dsn) for host in split_hosts(dsn)]
    assert found == [(address, "u", "p", "db", None) for address in addresses]


def test_passwords_and_other_parameters_are_left_as_they_are() -> None:
    dsn = "postgresql://u:p%40,%2F:x@one,two/my%20db?application_name=a%26b&target_session_attrs=read-write"
    for host, address in zip(split_hosts(dsn), ("one", "two"), strict=True):
        settings = {"application_name": "a&b"}
        assert understood(host.dsn) == ((address, 5432), "u", "p@,/:x", "my db", settings)
        assert "target_session_attrs" not in host.dsn


def test_names_tell_the_hosts_apart_and_no_password() -> None:
    hosts = split_hosts("postgresql://u:secret@one:1,[::1],%2Frun/db")
    assert [host.name for host in hosts] == ["one:1", "[::1]:5432", "/run:5432"]
    assert [host.name for host in split_hosts("postgresql:///db")] == ["localhost:5432"]


@pytest.mark.parametrize(
    ("dsn", "reason"),
    [
        ("host=one dbname=db", "looks like postgresql://"),
        ("mysql://one/db", "looks like postgresql://"),
        ("postgresql://u:p@one,,two/db", "a comma too many"),
        ("postgresql://u:p@one,/db", "a comma too many"),
        ("postgresql://u:p@one,two,three/db?port=1,2", "3 hosts need as many ports"),
        ("postgresql://u:p@one,::1/db", r"a host is not understood: .*\[address\]:port"),
        ("postgresql://u:p@one:http/db", "a host is not understood"),
        ("postgresql://u:p@ss:word@one/db", "an @ in a password is %40"),
    ],
)
def test_a_list_that_makes_no_sense_is_refused(dsn: str, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        split_hosts(dsn)
