"""A chunk goes through the image's own libraries, on the architecture that it was built for.

The ARM64 image is built on ``GEOWEIR_ARM64_BASE_IMAGE`` and runs under emulation elsewhere.
"""

from __future__ import annotations

import json
import os

import pytest

from support.containers import PROJECT, Engine, build, run, run_python

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
