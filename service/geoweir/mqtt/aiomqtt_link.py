"""The compatible link: MQTT 3.1.1 and WebSockets, on aiomqtt with paho's own callbacks underneath.

aiomqtt connects (TCP, TLS, WebSocket), watches the socket and times out. What it does per message
costs a task each, so inputs and acknowledgements are taken from paho's callbacks directly: see
``docs/performance.md``. Everything private of the two packages that we touch is in this file.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import math
import re
import socket
import ssl
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final, TypeVar, cast

import aiomqtt
from paho.mqtt.client import (
    MQTT_ERR_AGAIN,
    MQTT_ERR_SUCCESS,
    Client,
    ConnectFlags,
    DisconnectFlags,
    MQTTMessage,
)
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode
from paho.mqtt.subscribeoptions import SubscribeOptions

from geoweir.core.lane import DURABLE, REPEATED, RETAINED, Headers
from geoweir.errors import BrokerError
from geoweir.mqtt.link import (
    MAXIMUM_PACKET,
    REFUSED,
    Arrivals,
    Greeting,
    LinkOptions,
    Listener,
    VersionError,
    bounded_headers,
    certificate_end,
    certificate_error,
    not_authorized,
)
from geoweir.mqtt.options import BrokerOptions, tls_context
from geoweir.mqtt.packets import publish_properties, topic_bytes, variable_length
from geoweir.ports import Outgoing, Refusal

__all__ = ["AiomqttLink", "open_aiomqtt"]

#: How long one wake-up reads before other callbacks have their turn, in seconds.
_READING_S: Final = 0.001
_V5_UNSUPPORTED: Final = 0x84
_NOT_AUTHORIZED: Final = frozenset({0x86, 0x87, 0x8C})
_PACKET_TOO_LARGE: Final = 0x95
_TOPIC_INVALID: Final = 0x90
#: Room for the fixed header, lengths and properties of a PUBLISH beside topic and payload.
_OVERHEAD: Final = 64

_T = TypeVar("_T")
_LOG: Final = logging.getLogger("geoweir.mqtt.paho")


class _Packed:
    """Properties that are packed already: paho only asks them to pack themselves."""

    __slots__ = ("_packed",)

    def __init__(self, properties: bytes) -> None:
        self._packed = variable_length(len(properties)) + properties

    def pack(self) -> bytes:
        return self._packed


class AiomqttLink(aiomqtt.Client):
    """An aiomqtt client whose messages go to a listener, and whose reading can be paused."""

    def __init__(self, broker: BrokerOptions, listener: Listener, **options: Any) -> None:  # noqa: ANN401
        super().__init__(logger=_LOG, **options)
        self._broker = broker
        self._listener = listener
        self._arrivals = Arrivals()
        self._answered: list[int] = []
        self._refused: dict[int, Refusal] = {}
        self._is_flushing = False
        self._packet_limit = 268_435_455
        self._read_ready: Callable[[], None] | None = None
        self._read_descriptor = -1
        self._is_paused = False
        self._is_v5 = options.get("protocol") is aiomqtt.ProtocolVersion.V5
        self._client.manual_ack_set(on=True)
        self._client.suppress_exceptions = False
        # Whoever waits for the end sees its cause; without anybody it is no unhandled error.
        self._disconnected.add_done_callback(lambda ended: ended.cancelled() or ended.exception())

    # What the owner may do.

    @property
    def is_paused(self) -> bool:
        """Whether reading is paused."""
        return self._is_paused

    def pause(self) -> None:
        """Stops reading the socket; the kernel and then the broker hold what comes."""
        if not self._is_paused:
            self._is_paused = True
            if self._read_descriptor >= 0:
                self._loop.remove_reader(self._read_descriptor)

    def resume(self) -> None:
        """Reads again, beginning with what TLS or the WebSocket has decoded already."""
        if self._is_paused:
            self._is_paused = False
            if self._read_descriptor >= 0 and self._read_ready is not None:
                self._loop.add_reader(self._read_descriptor, self._read_ready)
                self._loop.call_soon(self._read_ready)

    @property
    def is_writable(self) -> bool:
        """Always: paho keeps what it could not write yet, which the owner's window bounds."""
        return True

    def acknowledge(self, mids: Sequence[int]) -> None:
        """Sends the PUBACK of each input."""
        for mid in mids:
            self._client.ack(mid, 1)

    def post(self, messages: Sequence[Outgoing]) -> list[int | Refusal]:
        """Publishes without waiting; see ``Link.post``."""
        answers: list[int | Refusal] = []
        for message in messages:
            try:
                answers.append(self._post(message))
            except ValueError as error:
                answers.append(Refusal(_TOPIC_INVALID, str(error)))
            except ConnectionError:
                break
        return answers

    def _post(self, message: Outgoing) -> int | Refusal:
        """Publishes one; ValueError where MQTT can't carry it, ConnectionError without a link."""
        topic = topic_bytes(message.topic)
        properties = publish_properties(message.content_type, message.headers, message.key)
        size = len(topic) + len(properties) + len(message.payload) + _OVERHEAD
        if size > self._packet_limit:
            text = f"{size} bytes, over the broker's limit of {self._packet_limit}"
            return Refusal(_PACKET_TOO_LARGE, text)
        info = self._client.publish(
            message.topic,
            message.payload,
            message.qos,
            message.retain,
            cast("Properties", _Packed(properties)) if self._is_v5 else None,
        )
        if info.rc != MQTT_ERR_SUCCESS:
            raise ConnectionError(f"publish: {info.rc!r}")
        return info.mid if message.qos else 0

    async def subscribe(self, topic_filter: str, qos: int) -> None:  # type: ignore[override]
        """Subscribes; see ``Link.subscribe``."""
        try:
            codes = await super().subscribe(topic_filter, **_subscription(qos, is_v5=self._is_v5))
        except (aiomqtt.MqttError, ValueError) as error:
            raise BrokerError(f'subscribe "{topic_filter}": {error}') from None
        for code in codes:
            if (code if isinstance(code, int) else code.value) >= REFUSED:
                raise BrokerError(
                    f'broker {self._broker.name} refused the subscription "{topic_filter}" '
                    f"({code}). Allow it in the broker's access list."
                )

    async def lost(self) -> None:
        """Waits until the connection is gone; raises BrokerError with the cause."""
        try:
            await asyncio.shield(self._disconnected)
        except aiomqtt.MqttError as error:
            raise BrokerError(str(error)) from None
        except OSError as error:
            raise BrokerError(str(error)) from None
        raise BrokerError("the broker ended the connection")

    async def leave(self) -> None:
        """Sends DISCONNECT behind everything that was written, and ends the connection."""
        with contextlib.suppress(aiomqtt.MqttError, OSError):  # it is gone all the same
            await self.__aexit__(None, None, None)
        self.abort()

    def abort(self) -> None:
        """Drops the connection at once, without a DISCONNECT."""
        with contextlib.suppress(OSError):
            self._client._sock_close()  # noqa: SLF001 - the only way that also ends the watching

    async def _wait_for(self, fut: Awaitable[_T], timeout: float | None) -> _T:  # noqa: ASYNC109
        # aiomqtt uses asyncio.wait_for, which before Python 3.12 can swallow a cancellation.
        limit_s = self.timeout if timeout is None else timeout
        try:
            async with asyncio.timeout(None if limit_s == math.inf else limit_s):
                return await fut
        except TimeoutError:
            raise aiomqtt.MqttError("Operation timed out") from None

    # What paho calls.

    def _on_connect(
        self,
        client: Client,
        userdata: Any,  # noqa: ANN401
        flags: ConnectFlags,
        reason_code: ReasonCode,
        properties: Properties | None = None,
    ) -> None:
        if not self._connected.done() and not reason_code.is_failure:
            self._packet_limit = getattr(properties, "MaximumPacketSize", self._packet_limit)
            self._listener.connected(
                Greeting(
                    session_present=flags.session_present,
                    receive_maximum=getattr(properties, "ReceiveMaximum", 65535),
                    packet_limit=self._packet_limit,
                    certificate_ends=_certificate_ends(client),
                )
            )
        super()._on_connect(client, userdata, flags, reason_code, properties)

    def _on_disconnect(
        self,
        client: Client,
        userdata: Any,  # noqa: ANN401
        flags: DisconnectFlags,
        reason_code: ReasonCode,
        properties: Properties | None = None,
    ) -> None:
        if not self._connected.done():
            # aiomqtt would wait for its time limit.
            self._connected.set_exception(
                aiomqtt.MqttError("the broker closed the connection before it answered CONNECT")
            )
            return
        super()._on_disconnect(client, userdata, flags, reason_code, properties)

    def _on_message(self, client: Client, userdata: Any, message: MQTTMessage) -> None:  # noqa: ANN401, ARG002
        arrivals, payload = self._arrivals, bytes(message.payload)
        arrivals.mids.append(message.mid if message.qos else 0)
        arrivals.payloads.append(payload)
        arrivals.addresses.append(message.topic)
        arrivals.headers.append(_headers(message))
        arrivals.flags.append(
            (DURABLE if message.qos else 0)
            | (REPEATED if message.dup else 0)
            | (RETAINED if message.retain else 0)
        )
        arrivals.size += len(payload)

    def _on_publish(
        self,
        client: Client,  # noqa: ARG002
        userdata: Any,  # noqa: ANN401, ARG002
        mid: int,
        reason_code: ReasonCode,
        properties: Properties,  # noqa: ARG002
    ) -> None:
        self._answered.append(mid)
        if reason_code.value >= REFUSED:
            self._refused[mid] = Refusal(reason_code.value, str(reason_code))
        if not self._is_flushing:
            self._is_flushing = True
            self._loop.call_soon(self._flush)

    def _on_socket_open(self, client: Client, userdata: Any, sock: Any) -> None:  # noqa: ANN401, ARG002
        # Called on the thread that connects.
        def register() -> None:
            self._read_descriptor = sock.fileno()
            if self._read_descriptor < 0:
                return
            self._read_ready = lambda: self._read(client)
            self._loop.add_reader(self._read_descriptor, self._read_ready)
            self._misc_task = self._loop.create_task(
                self._misc_loop(), name="geoweir-mqtt-keepalive"
            )

        self._loop.call_soon_threadsafe(register)

    def _on_socket_close(self, client: Client, userdata: Any, sock: Any) -> None:  # noqa: ANN401
        self._read_descriptor = -1
        super()._on_socket_close(client, userdata, sock)

    def _flush(self) -> None:
        """Hands on what the callbacks gathered."""
        self._is_flushing = False
        if self._answered:
            answered, refused = self._answered, self._refused
            self._answered, self._refused = [], {}
            self._listener.acknowledged(answered, refused)
        if len(self._arrivals):
            arrivals, self._arrivals = self._arrivals, Arrivals()
            self._listener.arrived(arrivals)

    def _read(self, client: Client) -> None:
        # paho's own loop_read takes as many packets as publishes are under way, however long that
        # lasts; ours stops after a while, and the selector calls again.
        try:
            self._read_packets(client, time.monotonic() + _READING_S)
        except Exception as error:  # noqa: BLE001 - whatever a broken stream raises ends it
            self._fail(error)
        self._flush()
        # TLS or a WebSocket may hold more where the selector sees nothing.
        if not self._is_paused and self._has_decoded(client) and self._read_ready is not None:
            self._loop.call_soon(self._read_ready)

    def _read_packets(self, client: Client, until: float) -> None:
        count, size = self._listener.room()
        while not self._is_paused and self._read_descriptor >= 0:
            if len(self._arrivals) >= count or self._arrivals.size >= size:
                return
            code = client._packet_read()  # noqa: SLF001
            if code == MQTT_ERR_AGAIN:
                return
            if code > 0:
                client._loop_rc_handle(code)  # noqa: SLF001
                return
            if time.monotonic() > until:
                return

    @staticmethod
    def _has_decoded(client: Client) -> bool:
        pending = getattr(client.socket(), "pending", None)
        return bool(pending is not None and pending())

    def _fail(self, error: Exception) -> None:
        if not self._disconnected.done():
            self._disconnected.set_exception(error)
        self.abort()

    async def _misc_loop(self) -> None:
        while True:
            if self._is_paused:
                # PINGRESP waits unread behind the inputs; our own PINGREQ keeps the broker content.
                self._client._ping_t = 0  # noqa: SLF001
            if self._client.loop_misc() != MQTT_ERR_SUCCESS:
                return
            await asyncio.sleep(1)


async def open_aiomqtt(
    options: BrokerOptions, link: LinkOptions, listener: Listener, *, is_v5: bool
) -> AiomqttLink:
    """Connects, and returns when the broker has accepted us.

    Raises:
        AuthenticationError: the broker does not accept our name or password.
        VersionError: the broker does not speak this version.
        BrokerError: the broker can't be reached; one clear line.
    """
    made = await _make(options, link, listener, is_v5=is_v5)
    try:
        await made.__aenter__()
    except aiomqtt.MqttError as error:
        made.abort()
        cause = error.__cause__ or error.__context__
        if isinstance(cause, ssl.SSLCertVerificationError):
            raise certificate_error(options, cause) from None
        code = getattr(getattr(error, "rc", None), "value", None)
        if code in _NOT_AUTHORIZED:
            raise not_authorized(options, str(error)) from None
        kind = (
            VersionError if code in (None, _V5_UNSUPPORTED) and _is_version(error) else BrokerError
        )
        raise kind(f"broker {options.name}: {_plain(error)}") from None
    except BaseException:
        made.abort()
        raise
    return made


async def _make(
    options: BrokerOptions, link: LinkOptions, listener: Listener, *, is_v5: bool
) -> AiomqttLink:
    versioned: dict[str, Any] = {"clean_session": link.session_expiry_s == 0}
    if is_v5:
        properties = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]
        properties.SessionExpiryInterval = link.session_expiry_s
        properties.MaximumPacketSize = MAXIMUM_PACKET
        if link.receive_maximum is not None:
            properties.ReceiveMaximum = link.receive_maximum
        versioned = {"clean_start": False, "properties": properties}
    will = link.will
    return AiomqttLink(
        options,
        listener,
        hostname=options.host,
        port=options.port,
        username=options.username,
        password=options.password,
        identifier=link.client_id,
        protocol=aiomqtt.ProtocolVersion.V5 if is_v5 else aiomqtt.ProtocolVersion.V311,
        transport=options.transport,
        websocket_path=options.path if options.transport == "websockets" else None,
        keepalive=options.keepalive_s,
        timeout=options.timeout_s,
        tls_context=await tls_context(options),
        will=None
        if will is None
        else aiomqtt.Will(will.topic, will.payload, qos=will.qos, retain=will.retain),
        # Without it, an acknowledgement waits up to 40 ms for company (measured on loopback).
        socket_options=[(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)],
        # Unlimited for paho, which would walk through them at each answer: the outlet bounds them.
        max_inflight_messages=0,
        **versioned,
    )


def _subscription(qos: int, *, is_v5: bool) -> dict[str, Any]:
    """Keywords for ``subscribe``: retained messages come with a new subscription only."""
    if not is_v5:
        return {"qos": qos}
    return {
        "options": SubscribeOptions(
            qos=qos, retainAsPublished=False, retainHandling=SubscribeOptions.RETAIN_SEND_IF_NEW_SUB
        )
    }


def _certificate_ends(client: Client) -> float | None:
    """When the broker's certificate ends; a WebSocket does not say."""
    connection = client.socket()
    return (
        certificate_end(connection.getpeercert()) if isinstance(connection, ssl.SSLSocket) else None
    )


def _headers(message: MQTTMessage) -> Headers:
    properties = getattr(message.properties, "UserProperty", None)
    return bounded_headers(properties) if properties else ()


def _is_version(error: aiomqtt.MqttError) -> bool:
    text = str(error)
    return "before it answered" in text or "protocol version" in text.lower()


def _plain(error: aiomqtt.MqttError) -> str:
    text = re.sub(r"^\[Errno -?\d+\] ", "", str(error))
    if "Operation timed out" in text:
        return "it did not answer in time"
    return text
