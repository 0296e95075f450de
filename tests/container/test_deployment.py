"""What stands in ``compose.yaml`` and ``deploy/`` keeps the promises of ``docs/deployment.md``."""

import contextlib
import json
import re
import runpy
import shutil
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families

from geoweir.core.account import Account
from geoweir.core.spec import Reference
from geoweir.telemetry.exposition import render
from geoweir.telemetry.metrics import Metrics
from geoweir.telemetry.snapshot import SlotReading, Snapshot

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
SERVICES: dict[str, Any] = yaml.safe_load((ROOT / "compose.yaml").read_text())["services"]


@pytest.mark.parametrize("name", SERVICES)
def test_no_port_is_open_beyond_this_machine(name: str) -> None:
    assert all(port.startswith("127.0.0.1:") for port in SERVICES[name].get("ports", []))


@pytest.mark.parametrize("name", SERVICES)
def test_each_service_is_restricted_and_bounded(name: str) -> None:
    service = SERVICES[name]

    assert service["read_only"] is True
    # The image of geoweir brings a first process of its own; what it replays with needs none.
    assert service.get("init", False) is (name != "geoweir")
    assert service["cap_drop"] == ["ALL"]
    assert service["mem_limit"]


@pytest.mark.parametrize("name", SERVICES)
def test_each_image_can_be_named_by_the_environment(name: str) -> None:
    variable = "GEOWEIR" if name == "demo" else name.upper()

    assert re.match(rf"\$\{{{variable}_IMAGE:-\S+\}}$", SERVICES[name]["image"])


def test_the_container_is_given_longer_to_end_than_the_service_takes() -> None:
    configuration = yaml.safe_load((ROOT / "deploy/geoweir/geoweir.yaml").read_text())
    grace, stop = configuration["shutdown_grace"], SERVICES["geoweir"]["stop_grace_period"]

    assert int(stop.removesuffix("s")) > int(grace.removesuffix("s"))


def test_prometheus_asks_the_service_by_its_host_name() -> None:
    configuration = yaml.safe_load((ROOT / "deploy/prometheus/prometheus.yml").read_text())
    (targets,) = configuration["scrape_configs"][0]["static_configs"]

    assert targets["targets"] == [f"{SERVICES['geoweir']['hostname']}:9108"]


def shown_names() -> set[str]:
    """The names of all samples that a scrape has."""
    zones = Reference("layer", "zones")
    heights = Reference("raster", "heights")
    metrics = Metrics(streams={"buses": ["join"]}, references=[zones, heights], version="1")
    for reference in (zones, heights):
        metrics.reference_loaded(reference, "v1")
    snapshot = Snapshot(
        streams=Account(["buses"]).totals, in_flight={}, unaccounted=0,
        slots=[SlotReading(state="idle", busy_s=0.0, private_bytes=0)], worker_memory_limit=1,
        certificates={"own": 1.0},
    )  # fmt: skip
    return {
        sample.name
        for family in text_string_to_metric_families(render(metrics, snapshot).decode())
        for sample in family.samples
    }


def test_the_board_is_what_its_script_makes() -> None:
    made = runpy.run_path(str(DEPLOY / "grafana/make_dashboard.py"))["dashboard"]()

    assert json.loads((DEPLOY / "grafana/dashboards/geoweir.json").read_text()) == made


def test_every_metric_of_board_and_alerts_is_one_of_ours() -> None:
    ours = shown_names()

    for text in (
        (DEPLOY / "grafana/dashboards/geoweir.json").read_text(),
        (DEPLOY / "prometheus/alerts.yml").read_text(),
    ):
        named = set(re.findall(r"\b(?:geoweir|process)_[a-z0-9_]+", text))
        assert named
        assert named <= ours, named - ours


def test_every_alert_has_its_runbook_and_its_test() -> None:
    rules = yaml.safe_load((DEPLOY / "prometheus/alerts.yml").read_text())["groups"][0]["rules"]
    page = (ROOT / "docs/alerts.md").read_text()
    tested = (DEPLOY / "prometheus/alerts_test.yml").read_text()
    headings = {heading.lower() for heading in re.findall(r"^## (\w+)$", page, re.MULTILINE)}

    assert rules
    for rule in rules:
        target, _, anchor = rule["annotations"]["runbook_url"].partition("#")
        assert target == "docs/alerts.md"
        assert anchor in headings, rule["alert"]
        assert f"alertname: {rule['alert']}\n" in tested, rule["alert"]


def test_the_kubernetes_manifests_are_as_strict_as_the_compose_project() -> None:
    documents = yaml.safe_load_all((DEPLOY / "kubernetes/geoweir.yaml").read_text())
    (workload,) = (document for document in documents if document["kind"] == "StatefulSet")
    pod = workload["spec"]["template"]["spec"]
    (container,) = pod["containers"]

    assert pod["securityContext"]["runAsNonRoot"] is True
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert container["livenessProbe"]["httpGet"]["path"] == "/healthz"
    assert container["readinessProbe"]["httpGet"]["path"] == "/readyz"


def test_the_configuration_in_the_kubernetes_manifests_is_accepted(tmp_path: Path) -> None:
    documents = yaml.safe_load_all((DEPLOY / "kubernetes/geoweir.yaml").read_text())
    (text,) = (d["data"]["geoweir.yaml"] for d in documents if d["kind"] == "ConfigMap")
    (tmp_path / "geoweir.yaml").write_text(text.replace("/var/lib/geoweir", str(tmp_path)))

    done = subprocess.run(
        [sys.executable, "-m", "geoweir", "check", "-c", str(tmp_path / "geoweir.yaml")],
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.mosquitto
def test_mosquitto_accepts_its_configuration(tmp_path: Path) -> None:
    if (broker := shutil.which("mosquitto", path="/usr/sbin:/usr/local/sbin:/usr/bin")) is None:
        pytest.skip("no mosquitto binary")
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    text = (ROOT / "deploy/mosquitto/mosquitto.conf").read_text()
    text = text.replace("listener 1883", f"listener {port} 127.0.0.1")
    text = text.replace("/mosquitto/data/", f"{tmp_path}/").replace("log_dest stdout", "")
    (tmp_path / "m.conf").write_text(text + "\nuser root\nlog_dest stdout\nlog_type information\n")

    command = [broker, "-c", str(tmp_path / "m.conf")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        lines = []
        for line in process.stdout:  # ends when the broker does
            lines.append(line)
            if "running" in line or "rror" in line:
                break
        # Between that line and its loop mosquitto forgets a SIGTERM.
        while process.poll() is None:
            process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(0.2)

    assert "running" in lines[-1], lines


def test_both_ignore_files_say_the_same() -> None:
    classic = (ROOT / ".dockerignore").read_text().splitlines()
    buildkit = (ROOT / "docker/Dockerfile.dockerignore").read_text().splitlines()

    assert classic[1:] == buildkit[1:]


def test_the_lock_names_no_index_and_every_file_has_a_hash() -> None:
    text = (ROOT / "docker/requirements.lock").read_text()

    assert "://" not in text
    assert not re.search(r"^--", text, re.MULTILINE)
    assert text.count("==") <= text.count("--hash=sha256:")


def test_the_lock_holds_every_dependency_of_the_project() -> None:
    project = (ROOT / "pyproject.toml").read_text()
    wanted = re.search(r"^dependencies = \[(.*?)^\]", project, re.MULTILINE | re.DOTALL)
    assert wanted is not None
    names = re.findall(r'"([\w.-]+)', wanted[1])
    locked = set(
        re.findall(r"^([\w.-]+)==", (ROOT / "docker/requirements.lock").read_text(), re.MULTILINE)
    )

    assert {name.lower() for name in names} <= locked
