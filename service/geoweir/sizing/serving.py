"""Runs the real service for a measurement; see ``served``."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from pathlib import Path
from typing import Final

from geoweir.app.service import Service
from geoweir.errors import GeoweirError
from geoweir.mqtt.options import BrokerOptions
from geoweir.settings.load import load
from geoweir.settings.values import Settings
from geoweir.sizing.derived import Derivation
from geoweir.telemetry.log import configure

__all__ = ["main"]

_READ: Final = 4096


def main(config: str, derivation: str) -> int:
    """Runs the service until standard input ends or SIGTERM comes; the exit status."""
    # The command has shown every fault before it started us.
    settings = load(Path(config), dict(os.environ)).settings
    if settings is None:
        print(f"{config}: it was changed and no longer can be used.", file=sys.stderr)  # noqa: T201
        return 1
    settings = Derivation.from_text(derivation).apply(settings)
    configure(settings.log.level, settings.log.format)
    try:
        asyncio.run(_serve(settings))
    except GeoweirError as error:
        print(error, file=sys.stderr)  # noqa: T201
        return 1
    return 0


async def _serve(settings: Settings) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGTERM, stop.set)
    # Whoever started us holds the other end: when that is gone, nobody wants the figures.
    loop.add_reader(sys.stdin.fileno(), _ended, loop, stop)
    mqtt = settings.mqtt
    options = BrokerOptions(
        host=mqtt.host,
        port=mqtt.port,
        protocol=mqtt.protocol,
        session_expiry_s=int(mqtt.session_expiry_s),
    )
    service = Service(settings, options)
    await service.run(stop, lambda url: print(url, flush=True))  # noqa: T201


def _ended(loop: asyncio.AbstractEventLoop, stop: asyncio.Event) -> None:
    if not os.read(sys.stdin.fileno(), _READ):
        loop.remove_reader(sys.stdin.fileno())
        stop.set()
