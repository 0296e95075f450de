"""The demo's broker, each of the two for real: it serves, on loopback, and never outlives us."""

from __future__ import annotations

import asyncio
import importlib.util
import os
import select
import signal
import socket
import subprocess
import sys
from pathlib import Path
from typing import get_args

import aiomqtt
import pytest

from geoweir.demo.broker import Kind, embedded_broker
from geoweir.errors import BrokerError
from support.mosquitto import BINARY

STARTER = """
import asyncio, sys
from geoweir.demo.broker import embedded_broker

async def main():
    async with embedded_broker(kind=sys.argv[1]) as broker:
        print(broker.port, flush=True)
        await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)

asyncio.run(main())
"""


@pytest.fixture(params=get_args(Kind))
def kind(request: pytest.FixtureRequest) -> Kind:
    here = {"mosquitto": BINARY, "iotcore": importlib.util.find_spec("iotcore")}
    if here[request.param] is None:
        pytest.skip(f"{request.param} is not here")
    found: Kind = request.param
    return found


async def test_messages_go_through(kind: Kind) -> None:
    async with (
        asyncio.timeout(20),
        embedded_broker(kind=kind) as broker,
        aiomqtt.Client(broker.host, broker.port) as client,
    ):
        await client.subscribe("a/+", qos=1)
        for number in range(20):
            await client.publish(f"a/{number}", b"x" * number, qos=1)
        topics = [str((await anext(client.messages)).topic) for _ in range(20)]
    assert topics == [f"a/{number}" for number in range(20)]


async def test_a_payload_of_the_largest_size_goes_through(kind: Kind) -> None:
    payload = bytes(1_000_000)
    async with (
        asyncio.timeout(20),
        embedded_broker(kind=kind) as broker,
        aiomqtt.Client(broker.host, broker.port) as client,
    ):
        await client.subscribe("a", qos=1)
        await client.publish("a", payload, qos=1)
        message = await anext(client.messages)
    assert message.payload == payload


async def test_it_listens_on_loopback_only(kind: Kind) -> None:
    async with embedded_broker(kind=kind) as broker:
        addresses = listening(broker.port)
    assert addresses == {"0100007F"}  # 127.0.0.1 as the kernel writes it


async def test_it_is_gone_after_the_block(kind: Kind) -> None:
    async with embedded_broker(kind=kind) as broker:
        assert listening(broker.port)
    assert not listening(broker.port)


async def test_it_names_itself(kind: Kind) -> None:
    async with embedded_broker(kind=kind) as broker:
        assert broker.name == {"mosquitto": "mosquitto", "iotcore": "rumqttd"}[kind]
        assert broker.version
        assert broker.url == f"mqtt://127.0.0.1:{broker.port}"


@pytest.mark.skipif(not hasattr(os, "pidfd_open"), reason="needs Linux")
def test_it_ends_with_a_parent_that_is_killed(kind: Kind, tmp_path: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", STARTER, kind],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={**os.environ, "TMPDIR": str(tmp_path)},
    ) as starter:
        assert starter.stdout is not None
        port = int(starter.stdout.readline())
        (guard,) = children(starter.pid)
        (broker,) = children(guard)
        ends = [os.pidfd_open(pid) for pid in (guard, broker)]
        starter.send_signal(signal.SIGKILL)
        for end in ends:
            readable, _, _ = select.select([end], [], [], 20)
            os.close(end)
            assert readable
    assert not listening(port)
    assert not list(tmp_path.iterdir())


async def test_a_used_port_is_one_clear_line() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(BrokerError, match=f"can't have port {port} .* Choose another one"):
            async with embedded_broker(port):
                pass


async def test_no_broker_is_one_clear_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    old = tmp_path / "mosquitto"
    old.write_text("#!/bin/sh\necho mosquitto version 2.0.11\n")
    old.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    with pytest.raises(BrokerError, match=r"Install mosquitto 2\.0\.13 or later"):
        async with embedded_broker(kind="mosquitto"):
            pass


def listening(port: int) -> set[str]:
    """The local addresses, as the kernel writes them, that listen on a port."""
    found = set()
    for table in ("tcp", "tcp6"):
        for line in Path(f"/proc/net/{table}").read_text(encoding="ascii").splitlines()[1:]:
            address, _, number = line.split()[1].rpartition(":")
            if int(number, 16) == port and line.split()[3] == "0A":
                found.add(address)
    return found


def children(pid: int) -> list[int]:
    text = Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii")
    return [int(child) for child in text.split()]
