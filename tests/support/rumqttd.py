"""A second broker that speaks MQTT 5: rumqttd of the iotcore package, as a test's own process."""

from __future__ import annotations

import contextlib
import socket
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import pytest

from support.eventually import eventually
from support.mosquitto import free_port

__all__ = ["Rumqttd", "rumqttd"]

# It needs a listener of the older version to start at all.
_CONF = """\
id = 0

[router]
id = 0
max_connections = 100
max_outgoing_packet_count = 1000
max_segment_size = 16777216
max_segment_count = 16

[v4.1]
name = "older"
listen = "127.0.0.1:{older}"
next_connection_delay_ms = 1

[v4.1.connections]
connection_timeout_ms = 60000
max_payload_size = 2097152
max_inflight_count = 1000
dynamic_filters = true

[v5.1]
name = "newer"
listen = "127.0.0.1:{port}"
next_connection_delay_ms = 1

[v5.1.connections]
connection_timeout_ms = 60000
max_payload_size = 2097152
max_inflight_count = 1000
dynamic_filters = true
"""


@dataclass(frozen=True, slots=True)
class Rumqttd:
    """Where it listens for MQTT 5."""

    port: int

    def start(self) -> None:
        """It runs already."""

    def end(self) -> None:
        """It ends with its block."""


@contextlib.contextmanager
def rumqttd(folder: Path) -> Iterator[Rumqttd]:
    """A running one; skips, by name, where the package is not there."""
    if find_spec("iotcore") is None:
        pytest.skip("the package iotcore, with a second broker, is not here")
    port = free_port()
    config = folder / "rumqttd.toml"
    config.write_text(_CONF.format(port=port, older=free_port()), encoding="utf-8")
    with (folder / "rumqttd.log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-P", "-m", "geoweir.demo.rumqttd", str(config)],
            stdout=log,
            stderr=log,
            cwd=folder,
        )
    try:
        eventually(lambda: _answers(port), 15)
        yield Rumqttd(port)
    finally:
        process.kill()
        process.wait()


def _answers(port: int) -> bool:
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
        return True
    return False
