"""A real service in staging mode, and one that is not."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from support.brokers import Broker, open_broker
from support.eventually import eventually
from support.outside import Sender, point
from support.service import Geoweir, clean_environment, command

PAGES = ("/debug/memory", "/debug/profile")
TOKEN = "not-a-secret-but-long-enough"  # noqa: S105 - of this test


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broker]:
    with open_broker(tmp_path_factory.mktemp("broker")) as broker:
        yield broker


def configuration(broker: Broker, folder: Path) -> dict[str, Any]:
    (folder / "token").write_text(TOKEN, encoding="utf-8")
    (folder / "state").mkdir()
    return {
        "mqtt": {"url": broker.url, "protocol": broker.protocol},
        "http": {"listen": "127.0.0.1:0", "token_file": str(folder / "token")},
        "state": {"path": str(folder / "state/geoweir.db")},
        "streams": {"s": {"subscribe": "in/#", "steps": [{"validate": {}}]}},
        "pool": {"workers": 1},
    }


def service(broker: Broker, folder: Path, **environment: str) -> Geoweir:
    return Geoweir(configuration(broker, folder), folder, environment=environment)


def get(service: Geoweir, path: str, token: str = TOKEN, host: str = "127.0.0.1") -> Any:
    port = service.url.rpartition(":")[2]
    request = urllib.request.Request(  # noqa: S310 - of our own service
        service.url + path,
        headers={"Authorization": f"Bearer {token}", "Host": f"{host}:{port}"},
    )
    with urllib.request.urlopen(request, timeout=30) as answer:  # noqa: S310
        return json.load(answer)


def refused(service: Geoweir, path: str, **how: str) -> int:
    with pytest.raises(urllib.error.HTTPError) as caught:
        get(service, path, **how)
    with caught.value as error:
        return error.code


def test_staging_shows_memory_and_where_time_goes(broker: Broker, tmp_path: Path) -> None:
    with service(broker, tmp_path, GEOWEIR_ENV="staging") as staging, Sender(broker) as sender:
        sender.send((f"in/{i}", point(f"st{i}")) for i in range(50))
        eventually(lambda: get(staging, "/api/account")["streams"]["s"]["published"] == 50)
        first, second = get(staging, PAGES[0]), get(staging, PAGES[0])
        profile = get(staging, PAGES[1])
        for path in PAGES:
            assert refused(staging, path, token="wrong") == 401  # noqa: S106 - not one
            assert refused(staging, path, host="evil.example") == 421
        written = tmp_path / "state/geoweir.db.memory.json"
        staging.signal(signal.SIGUSR1)
        eventually(written.exists)
        assert staging.stop() == 0

    assert first["since_s"] is None
    assert second["since_s"] > 0
    assert first["top"][0]["bytes"] > 0
    (step,) = profile["streams"]["s"]["steps"].values()
    assert step["count"] == profile["streams"]["s"]["chunk"]["count"] > 0
    assert json.loads(written.read_bytes())["top"]
    assert written.stat().st_mode & 0o077 == 0


@pytest.mark.parametrize("environment", [{}, {"GEOWEIR_ENV": "production"}])
def test_production_has_none_of_it(
    broker: Broker, tmp_path: Path, environment: dict[str, str]
) -> None:
    with service(broker, tmp_path, **environment) as production:
        assert [refused(production, path) for path in PAGES] == [404, 404]
        assert production.stop() == 0


def test_in_production_nothing_of_it_is_loaded() -> None:
    script = (
        "import sys, tracemalloc, logging, warnings\n"
        "shown = warnings.showwarning\n"
        "import geoweir.cli.serve, geoweir.app.service\n"
        "assert geoweir.cli.serve._staging(None) is None\n"
        "assert not tracemalloc.is_tracing()\n"
        "assert not logging.getLogger('asyncio').filters\n"
        "assert warnings.showwarning is shown\n"
        "print([name for name in sys.modules if 'geoweir' in name and 'staging' in name])\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script],
        env=clean_environment(),
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )

    assert done.stdout == "[]\n"


def test_a_misspelt_environment_is_refused(tmp_path: Path) -> None:
    (tmp_path / "g.yaml").write_text("{}")
    done = command("run", "-c", "g.yaml", folder=tmp_path, GEOWEIR_ENV="stagging")

    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert "GEOWEIR_ENV" in done.stderr
