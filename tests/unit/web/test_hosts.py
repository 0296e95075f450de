import socket

import pytest

from geoweir.web.hosts import HostList, host_of


@pytest.mark.parametrize(
    ("header", "host"),
    [
        ("localhost", "localhost"),
        ("LocalHost:9108", "localhost"),
        ("[::1]:80", "::1"),
        ("[::1]", "::1"),
        ("127.0.0.1:1", "127.0.0.1"),
        ("", None),
        (":80", None),
        ("a:b", None),
        ("a:", None),
        ("a:123456", None),
        ("[::1", None),
        ("[::1]x", None),
        ("a:80:80", None),
        ("a:\u0661", None),
    ],
)
def test_a_host_header_is_read_or_refused(header: str, host: str | None) -> None:
    assert host_of(header) == host


@pytest.mark.parametrize("header", ["localhost:1", "127.0.0.1", "[::1]:9108", "192.0.2.7:9108"])
def test_own_names_are_answered(header: str) -> None:
    assert HostList("192.0.2.7").allows(header)


@pytest.mark.parametrize(
    "header", ["evil.example", "localhost.evil.example", "198.51.100.1", "127.0.0.1.evil.example"]
)
def test_other_names_are_not_answered(header: str) -> None:
    assert not HostList("127.0.0.1").allows(header)


def test_listening_everywhere_answers_addresses_and_the_machines_name_but_no_other_name() -> None:
    hosts = HostList("0.0.0.0")

    assert hosts.allows("198.51.100.1:9108")
    assert hosts.allows(f"{socket.gethostname()}:9108")
    assert not hosts.allows("evil.example")


def test_a_configured_name_is_answered() -> None:
    assert HostList("127.0.0.1", ["Gateway.lan"]).allows("gateway.LAN:9108")
