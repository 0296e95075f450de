"""The plain pattern that geoweir is measured against: what one writes in an afternoon.

One ``ProcessPoolExecutor``, ``asyncio.wait_for`` around each message's job, shapely geometry by
geometry, aiomqtt as it comes: it acknowledges an input when it has read it, so a crash loses what
is in hand, and a job that runs out of time goes on in its worker.
"""

from __future__ import annotations

import argparse
import asyncio
import json
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any, Final

import aiomqtt
import shapely

from aiomqtt_client import make_client, parser, run_until_sigterm
from topics import IN, OUT
from workload import read_areas

_TASKS: Final = 100  # messages in hand at most
_DEADLINE_S: Final = 4.0

_areas: dict[str, Any] = {}


def load(layer: Path) -> None:
    """Runs once in each worker."""
    names, polygons = read_areas(layer)
    _areas.update(names=names, polygons=polygons, tree=shapely.STRtree(polygons))


def enrich(payload: bytes) -> bytes:
    """One message, in a worker."""
    feature = json.loads(payload)
    point = shapely.Point(feature["geometry"]["coordinates"])
    feature["properties"]["areas_name"] = None
    for index in _areas["tree"].query(point):
        if _areas["polygons"][index].contains(point):
            feature["properties"]["areas_name"] = _areas["names"][index]
            break
    return json.dumps(feature).encode()


async def handle(
    client: aiomqtt.Client,
    pool: ProcessPoolExecutor,
    slots: asyncio.Semaphore,
    message: aiomqtt.Message,
) -> None:
    try:
        work = asyncio.get_running_loop().run_in_executor(pool, enrich, message.payload)
        result = await asyncio.wait_for(work, _DEADLINE_S)
        topic = OUT + message.topic.value.rpartition("/")[2]
        await client.publish(topic, result, qos=1)
    except TimeoutError:
        print("a message ran out of time and is lost", flush=True)
    finally:
        slots.release()


async def serve(args: argparse.Namespace) -> None:
    with ProcessPoolExecutor(args.workers, initializer=load, initargs=(args.layer,)) as pool:
        payload = b'{"geometry":{"coordinates":[0,0]},"properties":{}}'
        list(pool.map(enrich, [payload] * args.workers))  # the workers start before the connection
        slots = asyncio.Semaphore(_TASKS)
        async with make_client(args) as client, asyncio.TaskGroup() as tasks:
            await client.subscribe(IN + "+", qos=1)
            print("ready", flush=True)
            async for message in client.messages:
                await slots.acquire()
                tasks.create_task(handle(client, pool, slots, message))


if __name__ == "__main__":
    _parser = parser()
    _parser.add_argument("--workers", type=int, required=True)
    _parser.add_argument("--layer", type=Path, required=True)
    _args = _parser.parse_args()
    run_until_sigterm(serve(_args))
