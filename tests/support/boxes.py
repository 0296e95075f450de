"""A broker and geoweir, each in a container, on a network of their own."""

from __future__ import annotations

import contextlib
import json
import os
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import pytest

from support.brokers import Broker
from support.containers import Engine
from support.eventually import eventually
from support.mosquitto import free_port, wait_for_answer

__all__ = ["Box", "boxes"]

_BROKER: Final = """\
listener 1883
allow_anonymous true
persistence true
persistence_location /mosquitto/data/
autosave_on_changes true
autosave_interval 1
max_queued_messages 0
max_inflight_messages 2000
set_tcp_nodelay true
"""
#: How the image is meant to be run.
_RESTRICTED: Final[dict[str, Any]] = {
    "read_only": True,
    "cap_drop": ["ALL"],
    "security_opt": ["no-new-privileges:true"],
    "restart_policy": {"Name": "always"},
}


@dataclass(frozen=True, slots=True)
class Box:
    """Both containers, and where they are reached from outside."""

    broker: Broker
    mosquitto: Any
    geoweir: Any
    port: int

    def get(self, path: str) -> Any:
        """A page as JSON."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}{path}", timeout=5) as answer:
            return json.load(answer)

    def is_live(self) -> bool:
        """Whether ``/healthz`` says so; no answer is none."""
        try:
            with urllib.request.urlopen(
                f"http://127.0.0.1:{self.port}/healthz", timeout=1
            ) as answer:
                return int(answer.status) == 200
        except OSError:
            return False

    def is_ready(self) -> bool:
        """Whether ``/readyz`` says so."""
        with contextlib.suppress(OSError, urllib.error.HTTPError):
            self.get("/readyz")
            return True
        return False

    def settled(self) -> int:
        """Inputs that have an outcome, since the last start."""
        streams = self.get("/api/account")["streams"].values()
        kinds = ("published", "filtered", "rejected", "reconciled")
        return sum(stream[kind] for stream in streams for kind in kinds)

    def in_box(self, script: str) -> str:
        """Output of a shell script in geoweir's container."""
        status, output = self.geoweir.exec_run(["sh", "-c", script])
        assert status == 0, output.decode()
        text: str = output.decode().strip()
        return text

    def kill_service(self, name: str) -> None:
        """Sends a signal to the service itself, which is the first process's child."""
        self.in_box(f"kill -{name} $(cat /proc/1/task/1/children)")

    def restarts(self) -> int:
        """How often the engine has started the container again."""
        self.geoweir.reload()
        return int(self.geoweir.attrs["RestartCount"])

    def log(self) -> str:
        """Everything that was said."""
        said: str = self.geoweir.logs().decode(errors="replace")
        return said


@contextlib.contextmanager
def boxes(
    engine: Engine,
    image: str,
    folder: Path,
    config: Mapping[str, Any],
    *,
    files: Mapping[str, str] | None = None,
    folders: Mapping[str, Path] | None = None,
    memory: str = "512m",
    saves: bool = True,
    seconds: float = 60,
) -> Iterator[Box]:
    """Runs both until the block ends.

    Args:
        engine: where the containers are found again.
        image: geoweir's.
        folder: for configuration files.
        config: geoweir's, without ``mqtt`` and ``http``.
        files: further files, by their path in the container.
        folders: folders of the host, likewise, to read.
        memory: the container's limit, without swap.
        saves: whether the broker writes all it holds at each change, which is slow.
        seconds: for the service to become ready.
    """
    broker_image = os.environ.get("GEOWEIR_MOSQUITTO_IMAGE")
    if not broker_image:
        pytest.skip("GEOWEIR_MOSQUITTO_IMAGE names no image")
    os.environ.setdefault("TESTCONTAINERS_RYUK_DISABLED", "true")
    from testcontainers.core.container import DockerContainer
    from testcontainers.core.network import Network

    (folder / "etc").mkdir()
    whole = {
        "mqtt": {"url": "mqtt://mosquitto:1883"},
        "http": {"listen": "0.0.0.0:9108"},
        **config,
    }
    (folder / "etc/geoweir.yaml").write_text(json.dumps(whole), encoding="utf-8")
    (folder / "mosquitto.conf").write_text(
        _BROKER
        if saves
        else _BROKER.replace(
            "autosave_on_changes true\nautosave_interval 1", "autosave_interval 600"
        ),
        encoding="utf-8",
    )
    ports = free_port(), free_port()
    with Network() as network:
        mosquitto = (
            DockerContainer(broker_image)
            .with_network(network)
            .with_network_aliases("mosquitto")
            .with_bind_ports(1883, ports[0])
            .with_volume_mapping(str(folder / "mosquitto.conf"), "/mosquitto/config/mosquitto.conf")
        )
        geoweir = (
            DockerContainer(image)
            .with_network(network)
            .with_bind_ports(9108, ports[1])
            .with_volume_mapping(str(folder / "etc"), "/etc/geoweir", "ro")
            .with_tmpfs_mount("/tmp", "size=8m,noexec,nosuid")
            .with_kwargs(**_RESTRICTED, mem_limit=memory, memswap_limit=memory)
        )
        for index, (path, text) in enumerate((files or {}).items()):
            if Path(path).parent == Path("/etc/geoweir"):
                (folder / "etc" / Path(path).name).write_text(text, encoding="utf-8")
                continue
            (folder / f"file-{index}").write_text(text, encoding="utf-8")
            geoweir.with_volume_mapping(str(folder / f"file-{index}"), path, "ro")
        for path, host in (folders or {}).items():
            geoweir.with_volume_mapping(str(host), path, "ro")
        with mosquitto, geoweir:
            assert wait_for_answer("127.0.0.1", ports[0])
            box = Box(
                broker=Broker("container", "127.0.0.1", ports[0]),
                mosquitto=engine.containers.get(mosquitto.get_wrapped_container().id),
                geoweir=engine.containers.get(geoweir.get_wrapped_container().id),
                port=ports[1],
            )
            eventually(box.is_ready, seconds, box.log)
            yield box
