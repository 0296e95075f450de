"""The compose project as a whole: a position comes in, its result goes out, Prometheus sees it.

Images that can't be pulled are named by the environment: ``GEOWEIR_BASE_IMAGE``,
``GEOWEIR_MOSQUITTO_IMAGE``, ``GEOWEIR_PROMETHEUS_IMAGE`` and ``GEOWEIR_GRAFANA_IMAGE``.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import shutil
import subprocess
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import aiomqtt
import pytest
import yaml

from support.containers import PROJECT, Engine
from support.eventually import eventually
from support.mosquitto import free_port

pytestmark = [pytest.mark.container, pytest.mark.timeout(300)]

NAME = "geoweir-test"
SERVICES = ("geoweir", "mosquitto", "prometheus", "grafana")


@dataclass(frozen=True, slots=True)
class Project:
    """A running compose project."""

    engine: Engine
    ports: dict[str, int]

    def container(self, service: str) -> Any:
        (found,) = self.engine.containers.list(
            all=True,
            filters={
                "label": [
                    f"com.docker.compose.project={NAME}",
                    f"com.docker.compose.service={service}",
                ]
            },
        )
        return found

    def get(self, service: str, path: str) -> Any:
        url = f"http://127.0.0.1:{self.ports[service]}{path}"
        with urllib.request.urlopen(url, timeout=10) as answer:
            return json.load(answer)


def compose_command() -> list[str]:
    """``docker compose``, or the program that it was before."""
    if shutil.which("docker"):
        plugin = subprocess.run(["docker", "compose", "version"], capture_output=True, check=False)
        if plugin.returncode == 0:
            return ["docker", "compose"]
    if shutil.which("docker-compose"):
        return ["docker-compose"]
    pytest.skip("neither docker compose nor docker-compose is here")


def often_checked(folder: Path) -> Path:
    """The same health checks, once a second: what they ask stays the image's and the project's."""
    quick = {"interval": "1s", "timeout": "5s", "start_period": "60s"}
    override = {"services": {name: {"healthcheck": quick} for name in SERVICES}}
    path = folder / "quick.yaml"
    path.write_text(yaml.safe_dump(override), encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def project(
    engine: Engine, image: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Project]:
    ports = {name: free_port() for name in SERVICES}
    environment = os.environ | {
        "GEOWEIR_IMAGE": image,
        "GEOWEIR_PORT": str(ports["geoweir"]),
        "MQTT_PORT": str(ports["mosquitto"]),
        "PROMETHEUS_PORT": str(ports["prometheus"]),
        "GRAFANA_PORT": str(ports["grafana"]),
    }
    for name in ("MOSQUITTO_IMAGE", "PROMETHEUS_IMAGE", "GRAFANA_IMAGE"):
        if named := os.environ.get(f"GEOWEIR_{name}"):
            environment[name] = named
    files = [PROJECT / "compose.yaml", often_checked(tmp_path_factory.mktemp("compose"))]
    options = [option for file in files for option in ("-f", str(file))]

    def compose(*arguments: str) -> None:
        done = subprocess.run(
            [*compose_command(), "-p", NAME, *options, *arguments],
            cwd=PROJECT,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr

    compose("config", "-q")
    try:
        compose("--profile", "demo", "up", "-d", "--no-build")
        yield Project(engine, ports)
    finally:
        compose("--profile", "demo", "down", "--volumes", "--timeout", "30")


def health(project: Project) -> dict[str, str]:
    return {name: project.container(name).attrs["State"]["Health"]["Status"] for name in SERVICES}


def test_every_container_becomes_healthy(project: Project) -> None:
    healthy = dict.fromkeys(SERVICES, "healthy")

    eventually(lambda: health(project) == healthy, 90, lambda: health(project))


async def through(port: int) -> dict[str, Any]:
    async with (
        asyncio.timeout(30),
        aiomqtt.Client("127.0.0.1", port, identifier="outside") as client,
    ):
        await client.subscribe("geoweir/positions/+", qos=1)
        position = b'{"type": "Point", "coordinates": [145.77, -16.92]}'
        await client.publish("positions/bus-7", position, qos=1)
        async for message in client.messages:
            assert isinstance(message.payload, bytes)
            return {"topic": str(message.topic), **json.loads(message.payload)}
    raise AssertionError("the broker ended the connection")


async def test_a_position_comes_out_with_its_district(project: Project) -> None:
    result = await through(project.ports["mosquitto"])

    assert result["topic"] == "geoweir/positions/bus-7"
    assert result["properties"] == {"districts_name": "south"}
    account = project.get("geoweir", "/api/account")
    assert account["unaccounted"] == 0
    assert account["streams"]["positions"]["published"] >= 1


def test_prometheus_reads_the_metrics(project: Project) -> None:
    def balances() -> bool:
        answer = project.get("prometheus", "/api/v1/query?query=geoweir_unaccounted")
        return [sample["value"][1] for sample in answer["data"]["result"]] == ["0"]

    eventually(balances, 60)


def query(project: Project, expression: str) -> list[Any]:
    answer = project.get("prometheus", "/api/v1/query?" + urlencode({"query": expression}))
    found: list[Any] = answer["data"]["result"]
    return found


def test_every_target_is_up(project: Project) -> None:
    def targets() -> dict[str, str]:
        answer = project.get("prometheus", "/api/v1/targets")
        return {t["labels"]["job"]: t["health"] for t in answer["data"]["activeTargets"]}

    up = {"geoweir": "up", "prometheus": "up"}
    eventually(lambda: targets() == up, 60, targets)


def test_the_demo_profile_shows_data(project: Project) -> None:
    rate = 'sum(rate(geoweir_outcomes_total{outcome="published"}[1m]))'

    eventually(
        lambda: [float(found["value"][1]) > 1 for found in query(project, rate)] == [True], 90
    )


def board() -> Iterator[tuple[str, str]]:
    """Title and expression of each query, with its variables as "All" sets them."""
    panels = json.loads((PROJECT / "deploy/grafana/dashboards/geoweir.json").read_text())["panels"]
    for panel in (inner for outer in panels for inner in (outer, *outer.get("panels", []))):
        for target in panel.get("targets", []):
            yield panel["title"], re.sub(r"\$(job|instance|stream)", ".*", target["expr"])


#: What is empty in a stack that is well, or not known in a container.
QUIET = {"Filtered", "Rejected and reconciled", "Restarts"}


def test_the_board_has_data_in_every_panel(project: Project) -> None:
    def empty() -> set[str]:
        return {title for title, expression in board() if not query(project, expression)} - QUIET

    eventually(lambda: not empty(), 90, empty)


def test_prometheus_accepts_its_configuration_and_the_alerts_pass_their_tests(
    engine: Engine,
) -> None:
    image = os.environ.get("GEOWEIR_PROMETHEUS_IMAGE", "prom/prometheus:v3.5.0")

    for command in (["check", "config", "prometheus.yml"], ["test", "rules", "alerts_test.yml"]):
        output = engine.containers.run(
            image,
            command,
            entrypoint="promtool",
            remove=True,
            network_mode="none",
            working_dir="/etc/prometheus",
            volumes={str(PROJECT / "deploy/prometheus"): {"bind": "/etc/prometheus", "mode": "ro"}},
        )
        assert b"SUCCESS" in output


def test_no_alert_fires_in_a_stack_that_is_well(project: Project) -> None:
    eventually(lambda: query(project, "geoweir_unaccounted"), 60)

    alerts = project.get("prometheus", "/api/v1/alerts")["data"]["alerts"]

    assert [alert["labels"]["alertname"] for alert in alerts] == []


def test_geoweir_ends_in_order(project: Project) -> None:
    container = project.container("geoweir")

    container.stop(timeout=20)

    container.reload()
    assert container.attrs["State"]["ExitCode"] == 0, container.logs(tail=20).decode()
