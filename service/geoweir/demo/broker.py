"""The demo's own broker: on loopback, with its own folder, ended with the demo.

A system mosquitto where there is a good one, else rumqttd from the iotcore package. Neither
outlives us, even when we are killed: see ``guard``.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import IO, TYPE_CHECKING, Final, Literal

from geoweir.errors import BrokerError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

__all__ = ["EmbeddedBroker", "Kind", "embedded_broker"]

Kind = Literal["mosquitto", "iotcore"]
_Protocol = Literal["auto", "3.1.1"]

_HOST: Final = "127.0.0.1"
#: Earlier ones overrun the window that a client asks for.
_OLDEST_MOSQUITTO: Final = (2, 0, 13)
_SYSTEM_FOLDERS: Final = ("/usr/sbin", "/usr/local/sbin", "/opt/homebrew/sbin")
_VERSION: Final = re.compile(r"mosquitto version ([0-9]+)\.([0-9]+)\.([0-9]+)")
_LOOK_S: Final = 5.0
_START_S: Final = 15.0
_END_S: Final = 10.0
_POLL_S: Final = 0.02
_LONGEST_LINE: Final = 200

_MOSQUITTO_CONF: Final = """\
listener {port} 127.0.0.1
allow_anonymous true
{user}persistence true
persistence_location {folder}/
max_queued_messages 0
max_queued_bytes 268435456
max_inflight_messages 1000
max_packet_size 2097152
set_tcp_nodelay true
log_dest stderr
log_type error
log_type warning
"""

# Only MQTT 3.1.1: that is rumqttd's well-trodden path.
_RUMQTTD_TOML: Final = """\
id = 0

[router]
id = 0
max_connections = 100
max_outgoing_packet_count = 1000
max_segment_size = 16777216
max_segment_count = 16

[v4.1]
name = "demo"
listen = "127.0.0.1:{port}"
next_connection_delay_ms = 1

[v4.1.connections]
connection_timeout_ms = 60000
max_payload_size = 2097152
max_inflight_count = 1000
dynamic_filters = true
"""


@dataclass(frozen=True, slots=True)
class EmbeddedBroker:
    """A broker that answers.

    Attributes:
        name: of the program, for people: ``mosquitto`` or ``rumqttd``.
        version: of the program, or of the package it comes from.
        protocol: what to configure as ``mqtt.protocol``.
    """

    host: str
    port: int
    name: str
    version: str
    protocol: _Protocol

    @property
    def url(self) -> str:
        """Where clients find it."""
        return f"mqtt://{self.host}:{self.port}"


@dataclass(frozen=True, slots=True)
class _Program:
    """How a broker is started; the configuration is a template of port, folder and user."""

    name: str
    version: str
    protocol: _Protocol
    command: tuple[str, ...]  # the configuration's path follows
    configuration: str


@contextlib.asynccontextmanager
async def embedded_broker(
    port: int = 0, *, kind: Kind | None = None
) -> AsyncIterator[EmbeddedBroker]:
    """Runs a broker until the block is left.

    Args:
        port: on 127.0.0.1; 0 for any that is free.
        kind: which broker; None for a good mosquitto, else iotcore.

    Raises:
        BrokerError: there is none, the port is in use, or it did not start; one clear line.
    """
    program = await asyncio.to_thread(_find, kind)
    chosen = _free_port(port)
    with tempfile.TemporaryFile() as log:
        guard = _start(program, chosen, log)
        try:
            await _answering(guard, program, chosen, log)
            yield EmbeddedBroker(_HOST, chosen, program.name, program.version, program.protocol)
        finally:
            await asyncio.shield(asyncio.to_thread(_end, guard))


def _find(kind: Kind | None) -> _Program:
    program = None
    if kind in {None, "mosquitto"}:
        program = _mosquitto()
    if program is None and kind in {None, "iotcore"}:
        program = _iotcore()
    if program is None:
        raise BrokerError(
            "there is no broker to start here. Install mosquitto 2.0.13 or later, or the package"
            " with its own: pip install 'geoweir[demo]'."
        )
    return program


def _mosquitto() -> _Program | None:
    # Debian keeps it where only root's PATH looks.
    path = os.pathsep.join((os.environ.get("PATH", os.defpath), *_SYSTEM_FOLDERS))
    binary = shutil.which("mosquitto", path=path)
    if binary is None:
        return None
    try:
        shown = subprocess.run(  # noqa: S603 - found on PATH, no shell
            [binary, "-h"], capture_output=True, text=True, timeout=_LOOK_S, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    found = _VERSION.search(shown.stdout)
    if found is None or tuple(map(int, found.groups())) < _OLDEST_MOSQUITTO:
        return None
    return _Program(
        name="mosquitto",
        version=".".join(found.groups()),
        protocol="auto",
        command=(binary, "-c"),
        configuration=_MOSQUITTO_CONF,
    )


def _iotcore() -> _Program | None:
    try:
        found = version("iotcore")
    except PackageNotFoundError:
        return None
    return _Program(
        name="rumqttd",
        version=f"iotcore {found}",
        protocol="3.1.1",
        command=(sys.executable, "-P", "-m", "geoweir.demo.rumqttd"),
        configuration=_RUMQTTD_TOML,
    )


def _free_port(port: int) -> int:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((_HOST, port))
        except OSError as error:
            raise BrokerError(
                f"the demo's broker can't have port {port} of {_HOST}: {error.strerror}."
                " Choose another one."
            ) from None
        return int(probe.getsockname()[1])


def _start(program: _Program, port: int, log: IO[bytes]) -> subprocess.Popen[bytes]:
    folder = Path(tempfile.mkdtemp(prefix="geoweir-demo-"))
    configuration = folder / "broker.toml"  # rumqttd goes by the ending, mosquitto does not
    # As root it would change to a user who may not write into the folder.
    user = "user root\n" if os.geteuid() == 0 else ""
    configuration.write_text(
        program.configuration.format(port=port, folder=folder, user=user), encoding="utf-8"
    )
    guard = (sys.executable, "-P", "-m", "geoweir.demo.guard", str(folder))
    return subprocess.Popen(  # noqa: S603 - our own command
        [*guard, *program.command, str(configuration)],
        stdin=subprocess.PIPE,
        stdout=log,
        stderr=log,
        cwd=folder,
        start_new_session=True,  # Ctrl-C is for us: the service still has to drain
    )


async def _answering(
    guard: subprocess.Popen[bytes], program: _Program, port: int, log: IO[bytes]
) -> None:
    try:
        async with asyncio.timeout(_START_S):
            while not await _knock(port):
                if guard.poll() is not None:
                    raise BrokerError(f"{program.name} did not start: {_last_line(log)}")
                await asyncio.sleep(_POLL_S)
    except TimeoutError:
        raise BrokerError(
            f"{program.name} did not answer on {_HOST}:{port} within {_START_S:g} s."
        ) from None


async def _knock(port: int) -> bool:
    try:
        _, writer = await asyncio.open_connection(_HOST, port)
    except OSError:
        return False
    writer.close()
    with contextlib.suppress(OSError):
        await writer.wait_closed()
    return True


def _last_line(log: IO[bytes]) -> str:
    log.seek(0)
    lines = log.read().decode(errors="replace").strip().splitlines()
    return lines[-1][:_LONGEST_LINE] if lines else "it said nothing"


def _end(guard: subprocess.Popen[bytes]) -> None:
    if guard.stdin is not None:
        guard.stdin.close()
    try:
        guard.wait(_END_S)
    except subprocess.TimeoutExpired:
        os.killpg(guard.pid, signal.SIGKILL)
        guard.wait()
