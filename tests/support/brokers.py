"""The broker that end-to-end tests run on, chosen by the environment.

``GEOWEIR_TEST_BROKER`` is ``mosquitto`` (the default where there is one), ``embedded`` (rumqttd of
the iotcore package, MQTT 3.1.1: the default elsewhere) or ``container`` (the image named by
``GEOWEIR_MOSQUITTO_IMAGE``). On a mosquitto, ``GEOWEIR_TEST_PROTOCOL=3.1.1`` makes the service run
on aiomqtt, where it would run on its own data plane.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import pytest

from geoweir.demo.broker import EmbeddedBroker, embedded_broker
from support.mosquitto import BINARY, Mosquitto, mosquitto, wait_for_answer

__all__ = [
    "Broker",
    "broker_kind",
    "needs_mosquitto",
    "needs_mqtt_5",
    "open_broker",
    "open_mosquitto",
]

_CONTAINER_CONF = """\
listener 1883
allow_anonymous true
persistence false
max_queued_messages 0
max_inflight_messages 2000
set_tcp_nodelay true
"""


@dataclass(frozen=True, slots=True)
class Broker:
    """A broker that answers; ``process`` is there where it can be ended and started again."""

    kind: str
    host: str
    port: int
    protocol: str = "auto"  # for mqtt.protocol
    process: Mosquitto | None = None
    username: str | None = None
    password: str | None = None

    @property
    def url(self) -> str:
        """Where clients find it."""
        return f"mqtt://{self.host}:{self.port}"

    @property
    def is_v5(self) -> bool:
        """Whether it speaks MQTT 5."""
        return self.protocol != "3.1.1"

    @property
    def mosquitto(self) -> Mosquitto:
        """The process, where the test may end it."""
        assert self.process is not None
        return self.process


def broker_kind() -> str:
    """Which kind the environment asks for, or this machine has."""
    default = "embedded" if BINARY is None else "mosquitto"
    return os.environ.get("GEOWEIR_TEST_BROKER") or default


def needs_mosquitto() -> None:
    """Skips, by name, a test that needs what only a mosquitto of its own can do."""
    if broker_kind() != "mosquitto":
        pytest.skip(f"needs a mosquitto of its own; the broker here is {broker_kind()}")


def needs_mqtt_5() -> None:
    """Skips, by name, a test of what MQTT 3.1.1 does not say."""
    if os.environ.get("GEOWEIR_TEST_PROTOCOL") == "3.1.1":
        pytest.skip("MQTT 3.1.1 says neither what it refuses nor how large a packet may be")


@contextlib.contextmanager
def open_broker(folder: Path) -> Iterator[Broker]:
    """A broker of the kind that the environment asks for, empty."""
    match kind := broker_kind():
        case "mosquitto":
            with open_mosquitto(folder) as broker:
                yield broker
        case "embedded":
            with _embedded() as found:
                yield Broker(kind, found.host, found.port, found.protocol)
        case "container":
            with _container(folder) as (host, port):
                yield Broker(kind, host, port)
        case _:
            pytest.fail(f"GEOWEIR_TEST_BROKER={kind} is not mosquitto, embedded or container")


@contextlib.contextmanager
def open_mosquitto(
    folder: Path,
    *,
    extra: str = "",
    host: str = "127.0.0.1",
    port: int | None = None,
    inside: Sequence[str] = (),
) -> Iterator[Broker]:
    """A mosquitto of the test's own.

    Args:
        folder: for its files.
        extra: further lines of its configuration.
        host: the address that it listens on.
        port: where it is reached, when ``extra`` has the listeners.
        inside: a command that runs it elsewhere, as in another network namespace.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with mosquitto(folder, extra=extra, host=host, port=port, inside=inside) as process:
        protocol = os.environ.get("GEOWEIR_TEST_PROTOCOL", "auto")
        yield Broker("mosquitto", host, process.port, protocol, process=process)


@contextlib.contextmanager
def _embedded() -> Iterator[EmbeddedBroker]:
    """The demo's broker, whose loop runs in a thread of its own."""
    if find_spec("iotcore") is None:
        pytest.skip("no broker here: neither mosquitto nor the package iotcore")
    ready, leave = threading.Event(), threading.Event()
    found: list[EmbeddedBroker] = []

    async def hold() -> None:
        async with embedded_broker(kind="iotcore") as broker:
            found.append(broker)
            ready.set()
            await asyncio.to_thread(leave.wait)

    thread = threading.Thread(target=lambda: asyncio.run(hold()), name="embedded-broker")
    thread.start()
    try:
        assert ready.wait(20), "the embedded broker did not start"
        yield found[0]
    finally:
        leave.set()
        thread.join(20)


@contextlib.contextmanager
def _container(folder: Path) -> Iterator[tuple[str, int]]:
    image = os.environ.get("GEOWEIR_MOSQUITTO_IMAGE")
    if not image:
        pytest.skip("GEOWEIR_MOSQUITTO_IMAGE names no image")
    os.environ.setdefault("TESTCONTAINERS_RYUK_DISABLED", "true")
    from docker.errors import DockerException  # type: ignore[import-not-found, unused-ignore]
    from testcontainers.core.container import DockerContainer

    conf = folder / "mosquitto.conf"
    conf.write_text(_CONTAINER_CONF, encoding="utf-8")
    conf.chmod(0o644)
    try:
        container = (
            DockerContainer(image)
            .with_exposed_ports(1883)
            .with_volume_mapping(str(conf), "/mosquitto/config/mosquitto.conf", "ro")
        )
        container.start()
    except DockerException as error:
        pytest.skip(f"no container engine answers: {str(error)[:100]}")
    try:
        host, port = container.get_container_host_ip(), int(container.get_exposed_port(1883))
        # A container that runs is not yet a broker that listens.
        assert wait_for_answer(host, port), f"the broker does not answer: {container.get_logs()}"
        yield host, port
    finally:
        container.stop()
