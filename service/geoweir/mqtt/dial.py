"""Makes and keeps connections: our own link for MQTT 5 over TCP and TLS, aiomqtt for the rest."""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import AsyncIterator
from typing import Literal

from geoweir.core.backoff import Backoff
from geoweir.errors import BrokerError
from geoweir.mqtt.link import Link, LinkOptions, Listener, VersionError
from geoweir.mqtt.options import BrokerOptions
from geoweir.mqtt.stream_link import open_stream

__all__ = ["Protocols", "dial", "pause_before_retry", "until_any"]


class Protocols:
    """Which MQTT version to speak: remembered between connections where it is ``auto``."""

    def __init__(self, wanted: Literal["auto", "5", "3.1.1"]) -> None:
        self._is_open = wanted == "auto"
        self.is_v5 = wanted != "3.1.1"

    def spoken(self) -> None:
        """The broker understood: a connection that ends before its answer is a cut from now on."""
        self._is_open = False

    def fall_back(self) -> bool:
        """Takes MQTT 3.1.1 after the broker did not understand 5; False where that is no way."""
        if self._is_open and self.is_v5:
            self.is_v5 = False
            return True
        return False

    def failed(self) -> None:
        """Nothing was understood: where it is open, the next try begins with 5 again."""
        self.is_v5 = self.is_v5 or self._is_open


@contextlib.asynccontextmanager
async def dial(
    options: BrokerOptions, protocols: Protocols, link: LinkOptions, listener: Listener
) -> AsyncIterator[Link]:
    """Connects once, with the session kept (Clean Start 0), and leaves at the end.

    Raises:
        AuthenticationError: the broker does not accept our name or password.
        BrokerError: the broker can't be reached; one clear line.
    """
    try:
        made = await _open(options, protocols, link, listener)
    except VersionError as error:
        if not protocols.fall_back():
            raise BrokerError(str(error)) from None
        try:
            made = await _open(options, protocols, link, listener)
        except BrokerError:
            protocols.failed()
            raise
    protocols.spoken()
    try:
        yield made
    finally:
        await made.leave()


async def _open(
    options: BrokerOptions, protocols: Protocols, link: LinkOptions, listener: Listener
) -> Link:
    if protocols.is_v5 and options.transport == "tcp":
        return await open_stream(options, link, listener)
    # Late: whoever speaks MQTT 5 over TCP need not hold it in memory.
    from geoweir.mqtt.aiomqtt_link import open_aiomqtt  # noqa: PLC0415

    return await open_aiomqtt(options, link, listener, is_v5=protocols.is_v5)


async def until_any(link: Link, *ends: asyncio.Event) -> None:
    """Waits until the owner wants to leave; raises BrokerError where the link is lost before."""
    lost = asyncio.ensure_future(link.lost())
    wanted = [asyncio.ensure_future(end.wait()) for end in ends]
    try:
        await asyncio.wait((lost, *wanted), return_when=asyncio.FIRST_COMPLETED)
        if lost.done():
            lost.result()
    finally:
        for task in (lost, *wanted):
            task.cancel()
        await asyncio.gather(lost, *wanted, return_exceptions=True)


async def pause_before_retry(backoff: Backoff, finish: asyncio.Event) -> None:
    """Waits for the next try, jittered, or until the owner wants to finish."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(backoff.next_s(random.random())):  # noqa: S311 - jitter
            await finish.wait()
