"""Rasters of a running service are replaced under load, and outlive their files."""

from __future__ import annotations

import os
import signal
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from support.accounting import read
from support.brokers import Broker
from support.eventually import eventually
from support.outside import Listener, Sender, point
from support.rasters import NORTH_UP, write
from support.service import Geoweir, workers
from support.zones import write_square

RASTER = "geoweir/rasters/dem"


def put(folder: Path, value: int, bands: int = 1) -> str:
    """The raster with one number everywhere, put in place at once; its version."""
    numbers = np.full((4, 4), value, dtype=np.int16)
    return write(folder / "dem.gwr", *[numbers] * bands, transform=NORTH_UP)[:12]


def configuration(broker: Broker) -> dict[str, Any]:
    ground = {"height_above": {"raster": "dem"}, "stats": ["min_z"]}
    return {
        "mqtt": {"url": broker.url, "protocol": broker.protocol},
        "rasters": {"dem": {"path": "dem.gwr", "check": "100ms"}},
        "streams": {
            "s": {"subscribe": "in/s/#", "steps": [{"sample": {"raster": "dem", "band": 1}}]},
            "c": {"subscribe": "in/c/#", "steps": [{"cloud": ground}]},
        },
        "pool": {"workers": 2},
    }


def in_use(listener: Listener) -> str | None:
    found = listener.on(RASTER)
    return found[-1].body["version"] if found else None


def inputs(numbers: range) -> list[tuple[str, bytes]]:
    cloud = b'{"type":"MultiPoint","coordinates":[[10.5,49.5,100]]}'
    feature = b'{"type":"Feature","id":"c%d","properties":{},"geometry":%s}'
    return [
        *((f"in/s/{n}", point(f"s{n}", 10.5, 49.5)) for n in numbers),
        *((f"in/c/{n}", feature % (n, cloud)) for n in numbers),
    ]


def has_all(listener: Listener, stream: str, ids: list[str]) -> bool:
    return all(map(read(listener.heard, stream).outcomes, ids))


def check_values(values: dict[str, int], listener: Listener) -> set[str]:
    """Every result has the value of the version that it names; the versions."""
    seen = set()
    for message in listener.heard:
        if message.topic.startswith(("geoweir/s/", "geoweir/c/")):
            version = message.body["geoweir"]["rasters"]["dem"]
            properties = message.body["properties"]
            found = properties["dem"] if "dem" in properties else 100 - properties["cloud_min_z"]
            assert found == values[version], message.body
            seen.add(version)
    return seen


def test_a_raster_replaced_under_load_costs_nothing_and_every_result_tells_its_version(
    broker: Broker, tmp_path: Path
) -> None:
    swaps, each = 10, 50
    values = {put(tmp_path, 0): 0}
    with (
        Listener(broker) as listener,
        Sender(broker) as sender,
        Geoweir(configuration(broker), tmp_path) as service,
    ):
        for number in range(swaps):
            sender.post(inputs(range(number * each, (number + 1) * each)))
            version = put(tmp_path, number + 1)
            values[version] = number + 1
            eventually(lambda v=version: in_use(listener) == v, 30, service.log)  # type: ignore[misc]
        account = service.wait_settled(2 * swaps * each, 120)
        assert account["unaccounted"] == 0
        for stream in "sc":
            ids = [f"{stream}{n}" for n in range(swaps * each)]
            eventually(partial(has_all, listener, stream, ids), 60)
            read(listener.heard, stream).each_once(ids)
        assert len(check_values(values, listener)) > swaps // 2
        assert service.metric("geoweir_raster_load_errors_total", raster="dem") == 0
        version = in_use(listener) or ""
        assert service.metric("geoweir_raster_info", raster="dem", version=version) == 1
        assert listener.on(RASTER)[-1].body["width"] == 4
        assert service.metric("geoweir_worker_restarts_total") == 0
        assert service.stop() == 0


def test_a_raster_that_is_no_good_or_gone_leaves_the_one_in_use_with_every_worker(
    broker: Broker, tmp_path: Path
) -> None:
    version = put(tmp_path, 7)
    with (
        Listener(broker) as listener,
        Sender(broker) as sender,
        Geoweir(configuration(broker), tmp_path) as service,
    ):

        def refused(count: int) -> None:
            def errors() -> float:
                return service.metric("geoweir_raster_load_errors_total", raster="dem")

            eventually(lambda: errors() == count, 20, service.log)

        (tmp_path / "next").write_bytes((tmp_path / "dem.gwr").read_bytes()[:-9])
        (tmp_path / "next").replace(tmp_path / "dem.gwr")
        refused(1)
        write(tmp_path / "dem.gwr", np.ones((4, 4), dtype=np.int16), crs="EPSG:3857")
        refused(2)
        write_square(tmp_path / "dem.gwr", "a layer")
        refused(3)
        (tmp_path / "dem.gwr").unlink()
        refused(4)
        assert "its CRS is EPSG:3857" in service.log()
        assert "it holds a layer, not a raster" in service.log()
        for pid in workers(service):
            os.kill(pid, signal.SIGKILL)
        eventually(lambda: service.metric("geoweir_worker_restarts_total") >= 2, 20, service.log)
        # New workers get the file that the service holds open: there is none by that name.
        sender.send([("in/s/1", point("a", 10.5, 49.5))])
        [result] = listener.wait(1, "geoweir/s/a")
        assert result.body["properties"]["dem"] == 7
        assert result.body["geoweir"]["rasters"] == {"dem": version}
        assert service.stop() == 0


def test_a_raster_without_the_band_that_a_step_reads_is_refused_by_a_worker(
    broker: Broker, tmp_path: Path
) -> None:
    put(tmp_path, 1, bands=2)
    config = configuration(broker)
    config["streams"]["s"]["steps"] = [{"sample": {"raster": "dem", "band": 2}}]
    with Listener(broker) as listener, Geoweir(config, tmp_path) as service:
        eventually(lambda: in_use(listener) is not None, 20, service.log)
        put(tmp_path, 2)
        eventually(lambda: "raster-failed" in service.log(), 20, service.log)
        assert "raster dem has no band 2" in service.log()
        assert service.metric("geoweir_worker_restarts_total") == 0
        assert service.stop() == 0


def test_a_geotiff_that_is_replaced_is_compiled_again(
    broker: Broker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rasterio = pytest.importorskip("rasterio")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))

    def put_tiff(number: int) -> None:
        profile = {"driver": "GTiff", "height": 4, "width": 4, "count": 1, "dtype": "int16"}
        place = {"crs": "EPSG:4326", "transform": rasterio.Affine(*NORTH_UP)}
        with rasterio.open(tmp_path / "next.tif", "w", **profile, **place) as file:
            file.write(np.full((4, 4), number, dtype=np.int16), 1)
        (tmp_path / "next.tif").replace(tmp_path / "dem.tif")

    put_tiff(1)
    config = configuration(broker)
    config["rasters"]["dem"]["path"] = "dem.tif"
    with (
        Listener(broker) as listener,
        Sender(broker) as sender,
        Geoweir(config, tmp_path) as service,
    ):
        eventually(lambda: in_use(listener) is not None, 20, service.log)
        first = in_use(listener)
        put_tiff(3)
        eventually(lambda: in_use(listener) != first, 30, service.log)
        sender.send([("in/s/1", point("a", 10.5, 49.5))])
        [result] = listener.wait(1, "geoweir/s/a")
        assert result.body["properties"]["dem"] == 3
        assert service.stop() == 0
