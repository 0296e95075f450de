"""What the candidates on plain aiomqtt share: their arguments, their client, their end."""

from __future__ import annotations

import argparse
import asyncio
import signal
from collections.abc import Coroutine
from typing import Any, Final

import aiomqtt

__all__ = ["make_client", "parser", "run_until_sigterm"]

_PROTOCOLS: Final = {
    "5": aiomqtt.ProtocolVersion.V5,
    "3.1.1": aiomqtt.ProtocolVersion.V311,
}


def parser() -> argparse.ArgumentParser:
    arguments = argparse.ArgumentParser()
    arguments.add_argument("--port", type=int, required=True)
    arguments.add_argument("--protocol", choices=_PROTOCOLS, required=True)
    return arguments


def make_client(args: argparse.Namespace) -> aiomqtt.Client:
    """A client with aiomqtt's defaults, without its warning for each publish beyond ten."""
    client = aiomqtt.Client("127.0.0.1", args.port, protocol=_PROTOCOLS[args.protocol])
    client.pending_calls_threshold = 1_000_000
    return client


def run_until_sigterm(service: Coroutine[Any, Any, None]) -> None:
    async def until_told() -> None:
        loop = asyncio.get_running_loop()
        task = loop.create_task(service, name="service")
        loop.add_signal_handler(signal.SIGTERM, task.cancel)
        await asyncio.wait([task])
        if not task.cancelled():
            task.result()

    asyncio.run(until_told())
