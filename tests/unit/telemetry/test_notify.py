import os
import socket
from pathlib import Path

import pytest

from geoweir.telemetry.notify import Notifier


def test_its_variables_leave_the_environment() -> None:
    environ = {"NOTIFY_SOCKET": "/x", "WATCHDOG_USEC": "3000000", "WATCHDOG_PID": "", "HOME": "/"}

    notifier = Notifier.from_environ(environ)

    assert environ == {"HOME": "/"}
    assert notifier
    assert notifier.watchdog_s == 3.0


@pytest.mark.parametrize(
    ("usec", "pid", "seconds"),
    [
        ("5000000", str(os.getpid()), 5.0),
        ("5000000", "1", None),  # another process is meant
        ("0", "", None),
        ("", "", None),
        ("-5", "", None),
        ("9" * 400, "", None),
        ("soon", "", None),
    ],
)
def test_the_watchdog_is_for_whom_it_names(usec: str, pid: str, seconds: float | None) -> None:
    environ = {"NOTIFY_SOCKET": "/x", "WATCHDOG_USEC": usec, "WATCHDOG_PID": pid}

    assert Notifier.from_environ(environ).watchdog_s == seconds


def test_who_is_not_to_notify_tells_nobody_and_leaves_no_trace() -> None:
    environ = {"NOTIFY_SOCKET": "/x", "WATCHDOG_USEC": "3000000"}

    notifier = Notifier.from_environ(environ, is_wanted=False)

    assert not notifier
    assert environ == {}


@pytest.mark.parametrize("is_abstract", [False, True])
def test_it_reaches_a_socket_with_and_without_a_file(tmp_path: Path, is_abstract: bool) -> None:
    name = f"notify-{os.getpid()}" if is_abstract else str(tmp_path / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(f"\0{name}" if is_abstract else name)

        Notifier(f"@{name}" if is_abstract else name).send("READY=1", "STATUS=online")

        assert manager.recv(100) == b"READY=1\nSTATUS=online"


@pytest.mark.parametrize("address", [None, "", "relative", "/no/such/place", "@gone"])
def test_without_a_manager_nothing_happens(address: str | None) -> None:
    Notifier(address).send("READY=1")


def test_a_manager_that_does_not_read_stops_nobody(tmp_path: Path) -> None:
    name = str(tmp_path / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(name)
        notifier = Notifier(name)
        for _ in range(10_000):
            notifier.send("WATCHDOG=1")
