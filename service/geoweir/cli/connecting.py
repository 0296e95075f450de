"""``check --connect``: what the broker lets us do, seen by doing it.

Under MQTT 3.1.1 a broker acknowledges what its access list refused. So every output topic gets a
canary: a message that must come back to us, on a level of its own below the topic's fixed part.
"""

from __future__ import annotations

import asyncio
import secrets
from typing import TYPE_CHECKING, Final

from geoweir.cli.configuration import broker_options
from geoweir.errors import BrokerError
from geoweir.mqtt.inlet import MqttInlet
from geoweir.mqtt.outlet import MqttOutlet
from geoweir.ports import Outgoing
from geoweir.core.lane import Batch

if TYPE_CHECKING:
    from geoweir.mqtt.options import BrokerOptions
    from geoweir.settings.values import Settings

__all__ = ["try_broker"]

_ANSWER_S: Final = 5.0
_CANARY: Final = b'{"geoweir":"canary"}'

Finding = tuple[str, str]


async def try_broker(settings: Settings) -> list[Finding]:
    """Connects, subscribes, and sends canaries; findings with their severity."""
    options = broker_options(settings.mqtt)
    name = f"{settings.mqtt.client_id}-check-{secrets.token_hex(4)}"
    outlet = MqttOutlet(client_id=f"{name}-out", options=options, on_link=lambda _up, _why: None)
    try:
        await outlet.connect_once()
    except BrokerError as error:
        return [("error", str(error))]
    findings: list[Finding] = [
        ("ok", f"{options.name} answers, MQTT {'5' if outlet.is_v5 else '3.1.1'}")
    ]
    if not outlet.is_v5:
        findings.append(
            (
                "warning",
                "MQTT 3.1.1 has no Receive Maximum and no reasons: bound max_inflight_messages at "
                "the broker, and keep its access list in step with the topics below",
            )
        )
    findings.append(
        (
            "ok",
            "the broker's queue can't be seen from here: it must keep what waits "
            "(mosquitto: max_queued_messages 0 with max_queued_bytes, persistence true)",
        )
    )
    running = asyncio.ensure_future(outlet.run())
    try:
        for stream in settings.streams:
            for kind in (stream.publish, stream.rejected, stream.reconcile):
                topic = _canary_topic(kind.topic, stream.name)
                findings.append(await _canary(options, outlet, name, topic))
            findings += await _subscription(options, name, stream.name, stream.subscribe)
    finally:
        await outlet.disconnect()
        await running
    return findings


async def _canary(
    options: BrokerOptions, outlet: MqttOutlet, name: str, topic: str
) -> Finding:
    """Publishes to the topic and waits until it comes back."""
    state: list[str] = []
    up, came = asyncio.Event(), asyncio.Event()
    inlet = MqttInlet(
        lane="canary",
        client_id=f"{name}-in",
        options=options,
        filters=[topic],
        qos=1,
        window=100,
        window_bytes=1_000_000,
        session_expiry_s=0,
        on_link=lambda is_up, why: (state.append(why), up.set() if is_up else None)[0],
    )

    async def listen() -> None:
        async for event in inlet.batches():
            if isinstance(event, Batch) and _CANARY in event.payloads:
                came.set()

    tasks = [asyncio.ensure_future(inlet.run()), asyncio.ensure_future(listen())]
    try:
        async with asyncio.timeout(_ANSWER_S):
            await up.wait()
            refusal = (await outlet.send([Outgoing(topic, _CANARY)]))[0]
            if refusal is not None:
                return ("error", f'"{topic}": the broker refused a publish: {refusal.text}')
            await came.wait()
    except TimeoutError:
        if not up.is_set():
            why = state[-1] if state else "no answer"
            return ("warning", f'"{topic}": no canary could be read back ({why})')
        return (
            "error",
            f'"{topic}": a canary was acknowledged and did not come back. The broker\'s access '
            "list may refuse it silently (MQTT 3.1.1), or forbid reading it",
        )
    else:
        return ("ok", f'"{topic}": a canary came back')
    finally:
        await inlet.disconnect()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _subscription(
    options: BrokerOptions, name: str, stream: str, filters: tuple[str, ...]
) -> list[Finding]:
    """Subscribes as the stream would, with a session of its own that is left at once."""
    findings: list[Finding] = []
    for topic_filter in filters:
        answered: asyncio.Future[Finding] = asyncio.get_running_loop().create_future()

        def link(
            up: bool,  # noqa: FBT001
            why: str,
            text: str = topic_filter,
            answer: asyncio.Future[Finding] = answered,
        ) -> None:
            if not answer.done():
                fine = ("ok", f'stream {stream} may subscribe to "{text}"')
                answer.set_result(fine if up else ("error", f"stream {stream}: {why}"))

        # $share would take messages away from the running service's members.
        plain = topic_filter.split("/", 2)[2] if topic_filter.startswith("$share/") else topic_filter
        inlet = MqttInlet(
            lane="check",
            client_id=f"{name}-sub",
            options=options,
            filters=[plain],
            qos=0,
            window=1,
            window_bytes=1,
            session_expiry_s=0,
            on_link=link,
        )
        task = asyncio.ensure_future(inlet.run())
        try:
            async with asyncio.timeout(_ANSWER_S):
                findings.append(await answered)
        except TimeoutError:
            findings.append(("error", f'stream {stream}: no answer for "{topic_filter}"'))
        finally:
            await inlet.disconnect()
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
    return findings


def _canary_topic(template: str, stream: str) -> str:
    """A topic as the template makes it, with a value that nobody uses."""
    levels = []
    for level in template.replace("{stream}", stream).split("/"):
        levels.append("geoweir-canary" if "{" in level else level)
    return "/".join(levels)
