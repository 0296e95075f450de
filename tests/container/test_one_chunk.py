"""A chunk goes through the image's own libraries, on the architecture that it was built for.

The ARM64 image is built on ``GEOWEIR_ARM64_BASE_IMAGE`` and runs under emulation elsewhere.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from support.boxes import boxes
from support.containers import PROJECT, Engine, build, run, run_python
from support.eventually import eventually
from support.outside import Listener, Sender, point

pytestmark = [pytest.mark.container, pytest.mark.timeout(1500)]

# A bus in the south district, one in none, and one that is no JSON, through the steps of the
# compose project's configuration.
ONE_CHUNK = """
import json, platform
from pathlib import Path
from geoweir.core.outcome import REASON_CODES
from geoweir.core.spec import WorkerSpec
from geoweir.core.work import ChunkWork
from geoweir.settings.load import load
from geoweir.spatial.layer import Layer
from geoweir.steps.chain import chains

settings = load(Path("/etc/geoweir/geoweir.yaml"), {}).settings
spec = WorkerSpec(streams=settings.streams, layers=settings.layers)
(chain,) = chains(spec, {layer.name: Layer.load(layer) for layer in settings.layers})
at = '{"type": "Point", "coordinates": [%s]}'
payloads = [(at % "145.77, -16.92").encode(), (at % "0, 0").encode(), b"no"]
done = chain.run(ChunkWork(0, payloads, [f"positions/{i}" for i in range(3)], [1.75e9] * 3))
results = [json.loads(message.payload) for message in done.messages]
print(json.dumps({
    "machine": platform.machine(),
    "outcomes": [" ".join(REASON_CODES[code]).strip() for code in done.codes],
    "districts": [result["properties"]["districts_name"] for result in results[:2]],
}))
"""

# The kernel's answers and the fallback's beside GEOS's: stars with holes on whole numbers, and
# points of which many are on an edge or a vertex, or one ulp beside it.
EXACT = """
import os, platform
import numpy as np
import shapely
from geoweir.spatial.file.mapped import MappedFile
from geoweir.spatial.kernel.loaded import has_kernel
from geoweir.spatial.layer import Layer
from geoweir.spatial.layerfile import LayerFeatures, write_layer

rng = np.random.default_rng(7)
rings = [rng.integers(0, 30, (9, 2)).astype(float) for _ in range(60)]
made = [shapely.make_valid(shapely.Polygon(ring), method="structure") for ring in rings]
zones = np.array([z for z in made if z.geom_type in ("Polygon", "MultiPolygon") and z.area > 0])
spots = rng.integers(0, 30, (3000, 2)).astype(float)
spots[1000:2000] = np.nextafter(spots[1000:2000], 99.0)
spots[2000:] += rng.random((1000, 2))
points = shapely.points(spots)
names = [str(i) for i in range(len(zones))]
file = os.memfd_create("layer")
write_layer(file, "EPSG:4326", LayerFeatures(names, [{}] * len(names), zones), "")
mapped = MappedFile(file)
for predicate in ("within", "intersects"):
    test = getattr(shapely, predicate)
    expected = [(i, k) for i, p in enumerate(points) for k in np.flatnonzero(test(p, zones))]
    for use_kernel in (True, False):
        layer = Layer.open("zones", mapped, use_kernel=use_kernel)
        mine, theirs = layer.join(points, predicate, "all")
        assert expected and list(zip(mine, layer.source[theirs])) == expected, predicate
print(platform.machine(), has_kernel())
"""

#: Emulation takes some ten times as long.
READY_S = {"x86_64": 60.0, "aarch64": 300.0}


@pytest.fixture(scope="module", params=["x86_64", "aarch64"])
def built(request: pytest.FixtureRequest, engine: Engine) -> tuple[str, str]:
    """A machine, and the name of the image for it."""
    machine = str(request.param)
    if machine == "x86_64":
        return machine, str(request.getfixturevalue("image"))
    if not (base := os.environ.get("GEOWEIR_ARM64_BASE_IMAGE")):
        pytest.skip("GEOWEIR_ARM64_BASE_IMAGE names no image")
    return machine, build(engine, "geoweir-test-image-arm64", base)


def test_it_starts_and_says_its_version(engine: Engine, built: tuple[str, str]) -> None:
    assert run(engine, built[1], "--version").startswith("geoweir ")


def test_a_chunk_gets_its_outcomes_and_districts(engine: Engine, built: tuple[str, str]) -> None:
    machine, image = built
    configuration = f"{PROJECT / 'deploy/geoweir'}:/etc/geoweir:ro"

    said = json.loads(run_python(engine, image, ONE_CHUNK, volumes=[configuration]))

    assert said == {
        "machine": machine,
        "outcomes": ["published", "published", "rejected json"],
        "districts": ["south", None],
    }


def test_the_kernel_answers_as_geos_does(engine: Engine, built: tuple[str, str]) -> None:
    machine, image = built

    assert run_python(engine, image, EXACT) == f"{machine} True"


def test_positions_go_through_from_broker_to_broker(
    engine: Engine, built: tuple[str, str], tmp_path: Path
) -> None:
    machine, image = built
    config: dict[str, Any] = {
        "streams": {"buses": {"subscribe": "buses/+"}},
        "pool": {"workers": 1, "timeout": "30s"},
    }
    with (
        boxes(engine, image, tmp_path, config, seconds=READY_S[machine]) as box,
        Listener(box.broker) as listener,
        Sender(box.broker) as sender,
    ):
        sender.send((f"buses/{i}", point(f"bus-{i}")) for i in range(200))
        listener.wait(200, "geoweir/buses/bus-", READY_S[machine])
        eventually(lambda: box.settled() == 200)
        assert box.get("/api/account")["unaccounted"] == 0
        assert box.in_box("uname -m") == machine
        box.geoweir.stop(timeout=60)
        box.geoweir.reload()
        assert box.geoweir.attrs["State"]["ExitCode"] == 0
        assert box.restarts() == 0
