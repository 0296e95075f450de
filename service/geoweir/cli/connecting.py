"""``check --connect``: what the broker lets us do, seen by doing it.

Under MQTT 3.1.1 a broker acknowledges what its access list refused. So every output topic gets a
canary: a message that must come back to us, on a level of its own below the topic's fixed part.
"""

from __future__ import annotations

import asyncio
import contextlib
import secrets
from typing import TYPE_CHECKING, Final

from geoweir.cli.configuration import broker_options
from geoweir.core.lane import Batch
from geoweir.errors import BrokerError
from geoweir.mqtt.inlet import MqttInlet
from geoweir.mqtt.outlet import MqttOutlet
from geoweir.ports import Outgoing

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from geoweir.mqtt.options import BrokerOptions
    from geoweir.settings.values import Settings

__all__ = ["try_broker"]

_ANSWER_S: Final = 5.0
_CANARY: Final = b'{"geoweir":"canary"}'

_OLD_PROTOCOL: Final = (
    "MQTT 3.1.1 has no Receive Maximum and no reasons: bound max_inflight_messages at the broker, "
    "and keep its access list in step with the topics below"
)
_UNSEEN: Final = (
    "the broker's queue can't be seen from here: it must keep what waits (mosquitto: "
    "max_queued_messages 0 with max_queued_bytes, persistence true)"
)
_SILENT: Final = (
    "a canary was acknowledged and did not come back. The broker's access list refuses it "
    "silently, as MQTT 3.1.1 has it, or forbids reading it"
)

Finding = tuple[str, str]


async def try_broker(settings: Settings) -> list[Finding]:
    """Connects, subscribes, and sends canaries; findings with their severity."""
    options = broker_options(settings.mqtt)
    name = f"{settings.mqtt.client_id}-check-{secrets.token_hex(4)}"
    outlet = MqttOutlet(client_id=f"{name}-out", options=options, on_link=_Link())
    try:
        await outlet.connect_once()
    except BrokerError as error:
        return [("error", str(error))]
    findings = _about_broker(options, is_v5=outlet.is_v5)
    running = asyncio.ensure_future(outlet.run())
    try:
        for stream in settings.streams:
            findings += [
                await _canary(options, outlet, name, _canary_topic(kind.topic, stream.name))
                for kind in (stream.publish, stream.rejected, stream.reconcile)
            ]
            findings += [
                await _subscription(options, name, stream.name, text) for text in stream.subscribe
            ]
    finally:
        await outlet.disconnect()
        await running
    return findings


def _about_broker(options: BrokerOptions, *, is_v5: bool) -> list[Finding]:
    version = "5" if is_v5 else "3.1.1"
    findings: list[Finding] = [("ok", f"{options.name} answers, MQTT {version}")]
    if not is_v5:
        findings.append(("warning", _OLD_PROTOCOL))
    findings.append(("ok", _UNSEEN))
    return findings


class _Link:
    """What a connection says of itself."""

    def __init__(self) -> None:
        self.up = asyncio.Event()
        self.told = asyncio.Event()
        self.why = "no answer"

    def __call__(self, *, up: bool, why: str) -> None:
        self.why = why
        self.told.set()
        if up:
            self.up.set()


@contextlib.asynccontextmanager
async def _listening(
    options: BrokerOptions, client_id: str, topic_filter: str
) -> AsyncIterator[tuple[_Link, asyncio.Event]]:
    """A subscription of our own; its link, and whether a canary came."""
    link, came = _Link(), asyncio.Event()
    inlet = MqttInlet(
        lane="check",
        client_id=client_id,
        options=options,
        filters=[topic_filter],
        qos=1,
        window=100,
        window_bytes=1_000_000,
        session_expiry_s=0,
        on_link=link,
    )

    async def listen() -> None:
        async for event in inlet.batches():
            if isinstance(event, Batch) and _CANARY in event.payloads:
                came.set()

    tasks = [asyncio.ensure_future(inlet.run()), asyncio.ensure_future(listen())]
    try:
        yield link, came
    finally:
        await inlet.disconnect()
        _, late = await asyncio.wait(tasks, timeout=1.0)
        for task in late:
            task.cancel()


async def _canary(options: BrokerOptions, outlet: MqttOutlet, name: str, topic: str) -> Finding:
    """Publishes to the topic and waits until it comes back."""
    async with _listening(options, f"{name}-in", topic) as (link, came):
        is_acknowledged = False
        try:
            async with asyncio.timeout(_ANSWER_S):
                await link.up.wait()
                refusal = (await outlet.send([Outgoing(topic, _CANARY)]))[0]
                if refusal is not None:
                    return ("error", f'"{topic}": the broker refused a publish: {refusal.text}')
                is_acknowledged = True
                await came.wait()
        except TimeoutError:
            if not is_acknowledged:
                return ("warning", f'"{topic}": no canary could be read back ({link.why})')
            if outlet.is_v5:
                return ("ok", f'"{topic}": a canary was accepted (it may not be read back)')
            return ("error", f'"{topic}": {_SILENT}')
        return ("ok", f'"{topic}": a canary came back')


async def _subscription(
    options: BrokerOptions, name: str, stream: str, topic_filter: str
) -> Finding:
    """Subscribes as the stream would, with a session of its own that is left at once."""
    # Joining a group would take messages away from the service; and a subscription that gets
    # messages is left before any of them is acknowledged.
    plain = topic_filter.split("/", 2)[2] if topic_filter.startswith("$share/") else topic_filter
    async with _listening(options, f"{name}-sub", plain) as (link, _):
        try:
            async with asyncio.timeout(_ANSWER_S):
                await link.told.wait()
        except TimeoutError:
            return ("error", f'stream {stream}: no answer for "{topic_filter}"')
        if link.up.is_set():
            return ("ok", f'stream {stream} may subscribe to "{topic_filter}"')
        return ("error", f"stream {stream}: {link.why}")


def _canary_topic(template: str, stream: str) -> str:
    """A topic as the template makes it, with a value that nobody uses."""
    levels = template.replace("{stream}", stream).split("/")
    return "/".join("geoweir-canary" if "{" in level else level for level in levels)
