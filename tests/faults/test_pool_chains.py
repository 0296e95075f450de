"""The pool with the steps that the service has."""

from __future__ import annotations

import json
import sys
import types
from unittest import mock

import numpy as np
import shapely

from faults.poolside import Restarts, Shelved, file_of
from geoweir.core.spec import PoolSpec, StepSpec, StreamSpec, WorkerSpec
from geoweir.core.work import ChunkWork
from geoweir.pool.shelf import Shelf
from geoweir.pool.supervisor import Pool
from geoweir.spatial.layerfile import LayerFeatures, write_layer


async def test_a_chunk_goes_through_the_configured_steps() -> None:
    zones = np.array([shapely.box(0, 0, 1, 1), shapely.box(2, 0, 3, 1)], dtype=object)
    given = LayerFeatures(["left", "right"], [{}, {}], zones)
    zones_file = file_of("zones", "?")
    version = write_layer(zones_file.descriptor, "EPSG:4326", given, "zones")
    join = StepSpec(name="join", options={"layer": "zones"})
    spec = WorkerSpec(
        streams=(StreamSpec(name="fleet", subscribe=("fleet/#",), steps=(join,)),),
    )
    points = [
        json.dumps(
            {"type": "Feature", "id": str(x), "properties": {},
             "geometry": {"type": "Point", "coordinates": [x, 0.5]}}
        ).encode()
        for x in (0.5, 2.5)
    ]  # fmt: skip
    # A worker imports its parent's main module again; the test runner is none of its business.
    with mock.patch.dict(sys.modules, {"__main__": types.ModuleType("__main__")}):
        shelf = Shelf(Shelved())
        shelf.put(zones_file)
        pool = Pool(PoolSpec(workers=1), spec, events=Restarts(), shelf=shelf)
        await pool.start()
    try:
        work = ChunkWork(0, points, ["fleet/1", "fleet/2"], [1.8e9, 1.8e9])
        ran = await (await pool.idle()).run(work, deadline_s=20)
    finally:
        await pool.close(1)
        shelf.close()
    assert ran.done is not None, ran.detail
    assert ran.done.codes == b"\x00\x00"
    texts = [message.payload.decode() for message in ran.done.messages]
    assert "left" in texts[0]
    assert "right" in texts[1]
    assert f'"layers":{{"zones":"{version[:12]}"}}' in texts[0]
