"""One connection to the broker: aiomqtt's connecting, with paho's own callbacks underneath.

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
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, Final, Protocol, TypeVar, cast

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

from geoweir.errors import BrokerError
from geoweir.mqtt.options import BrokerOptions
from geoweir.mqtt.properties import PublishProperties

__all__ = ["AuthenticationError", "Connection", "Listener", "Protocols", "dial"]

#: The largest packet that we accept at all; what is larger, the broker must not send (MQTT 5).
MAXIMUM_PACKET: Final = 16 * 1024 * 1024
#: How long one wake-up reads before other callbacks have their turn, in seconds.
_READING_S: Final = 0.001
_V5_UNSUPPORTED: Final = 0x84
_NOT_AUTHORIZED: Final = frozenset({0x86, 0x87, 0x8C})

_T = TypeVar("_T")
_LOG: Final = logging.getLogger("geoweir.mqtt.paho")


class AuthenticationError(BrokerError):
    """The broker refused who we say we are; trying again does not help."""


class Listener(Protocol):
    """Whoever owns a connection and is told what happens on it."""

    def connected(self, *, session_present: bool, receive_maximum: int, packet_limit: int) -> None:
        """The broker accepted the connection; inputs of a resumed session follow at once."""

    def message(self, message: MQTTMessage) -> None:
        """An input arrived."""

    def acknowledged(self, mid: int, code: int, text: str) -> None:
        """The broker answered a publish of ours; a code of 0x80 and above is a refusal."""


class Connection(aiomqtt.Client):
    """An aiomqtt client whose messages go to a listener, and whose reading can be paused."""

    def __init__(self, listener: Listener, **options: Any) -> None:  # noqa: ANN401
        super().__init__(logger=_LOG, **options)
        self._listener = listener
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

    def acknowledge(self, mid: int) -> None:
        """Sends the PUBACK of an input."""
        self._client.ack(mid, 1)

    def post(
        self, topic: str, payload: bytes, qos: int, *, retain: bool, properties: PublishProperties
    ) -> int:
        """Publishes without waiting; the packet id that ``acknowledged`` will name.

        Raises:
            ValueError: for a topic or payload that MQTT can't carry.
            ConnectionError: when the connection is gone; the message was not sent.
        """
        info = self._client.publish(
            topic,
            payload,
            qos,
            retain,
            # paho only asks them to pack themselves.
            cast("Properties", properties) if self._is_v5 else None,
        )
        if info.rc != MQTT_ERR_SUCCESS:
            raise ConnectionError(f"publish: {info.rc!r}")
        return info.mid

    async def lost(self) -> None:
        """Waits until the connection is gone; raises BrokerError with the cause."""
        try:
            await asyncio.shield(self._disconnected)
        except aiomqtt.MqttError as error:
            raise BrokerError(str(error)) from None
        except OSError as error:
            raise BrokerError(str(error)) from None
        raise BrokerError("the broker ended the connection")

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
            self._listener.connected(
                session_present=flags.session_present,
                receive_maximum=getattr(properties, "ReceiveMaximum", 65535),
                packet_limit=getattr(properties, "MaximumPacketSize", 268_435_455),
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
        self._listener.message(message)

    def _on_publish(
        self,
        client: Client,  # noqa: ARG002
        userdata: Any,  # noqa: ANN401, ARG002
        mid: int,
        reason_code: ReasonCode,
        properties: Properties,  # noqa: ARG002
    ) -> None:
        self._listener.acknowledged(mid, reason_code.value, str(reason_code))

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

    def _read(self, client: Client) -> None:
        # paho's own loop_read takes as many packets as publishes are under way, however long that
        # lasts; ours stops after a while, and the selector calls again.
        until = time.monotonic() + _READING_S
        try:
            while not self._is_paused and self._read_descriptor >= 0:
                code = client._packet_read()  # noqa: SLF001
                if code == MQTT_ERR_AGAIN:
                    return
                if code > 0:
                    client._loop_rc_handle(code)  # noqa: SLF001
                    return
                if time.monotonic() > until:
                    break
        except Exception as error:  # noqa: BLE001 - whatever a broken stream raises ends it
            self._fail(error)
            return
        # TLS or a WebSocket may hold more where the selector sees nothing.
        if not self._is_paused and self._has_decoded(client) and self._read_ready is not None:
            self._loop.call_soon(self._read_ready)

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


class Protocols:
    """Which MQTT version to speak: remembered between connections where it is ``auto``."""

    def __init__(self, wanted: str) -> None:
        self._is_auto = wanted == "auto"
        self.version = (
            aiomqtt.ProtocolVersion.V311 if wanted == "3.1.1" else aiomqtt.ProtocolVersion.V5
        )

    @property
    def is_v5(self) -> bool:
        """Whether MQTT 5 is spoken."""
        return self.version is aiomqtt.ProtocolVersion.V5

    def fall_back(self) -> bool:
        """Takes MQTT 3.1.1 after the broker did not understand 5; False where that is no way."""
        if self._is_auto and self.is_v5:
            self.version = aiomqtt.ProtocolVersion.V311
            return True
        return False


@contextlib.asynccontextmanager
async def dial(
    options: BrokerOptions,
    protocols: Protocols,
    listener: Listener,
    *,
    client_id: str,
    receive_maximum: int | None = None,
    session_expiry_s: int | None = None,
    will: aiomqtt.Will | None = None,
) -> AsyncIterator[Connection]:
    """Connects once, with the session kept (Clean Start 0).

    Raises:
        AuthenticationError: the broker does not accept our name or password.
        BrokerError: the broker can't be reached; one clear line.
    """
    while True:
        connection = await _make(
            options, protocols, listener, client_id, receive_maximum, session_expiry_s, will
        )
        try:
            await connection.__aenter__()
        except asyncio.CancelledError:
            connection.abort()
            raise
        except aiomqtt.MqttError as error:
            connection.abort()
            code = getattr(getattr(error, "rc", None), "value", None)
            if code in _NOT_AUTHORIZED:
                raise AuthenticationError(_refused(options, error)) from None
            if (code in (None, _V5_UNSUPPORTED) and _is_version_fault(error)) and (
                protocols.fall_back()
            ):
                continue
            raise BrokerError(f"broker {options.name}: {_plain(error)}") from None
        break
    try:
        yield connection
    finally:
        await _leave(connection)


async def _leave(connection: Connection) -> None:
    with contextlib.suppress(aiomqtt.MqttError, OSError):  # it is gone all the same
        await connection.__aexit__(None, None, None)
    connection.abort()


async def _make(
    options: BrokerOptions,
    protocols: Protocols,
    listener: Listener,
    client_id: str,
    receive_maximum: int | None,
    session_expiry_s: int | None,
    will: aiomqtt.Will | None,
) -> Connection:
    expiry_s = options.session_expiry_s if session_expiry_s is None else session_expiry_s
    versioned: dict[str, Any] = {"clean_session": expiry_s == 0}
    if protocols.is_v5:
        properties = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]
        properties.SessionExpiryInterval = expiry_s
        properties.MaximumPacketSize = MAXIMUM_PACKET
        if receive_maximum is not None:
            properties.ReceiveMaximum = receive_maximum
        versioned = {"clean_start": False, "properties": properties}
    context = None
    if options.tls is not None:
        try:
            context = await asyncio.to_thread(options.tls.context)
        except OSError as error:
            raise BrokerError(f"TLS files for broker {options.name}: {error}") from None
    return Connection(
        listener,
        hostname=options.host,
        port=options.port,
        username=options.username,
        password=options.password,
        identifier=client_id,
        protocol=protocols.version,
        transport=options.transport,
        websocket_path=options.path if options.transport == "websockets" else None,
        keepalive=options.keepalive_s,
        timeout=options.timeout_s,
        tls_context=context,
        will=will,
        # Without it, an acknowledgement waits up to 40 ms for company (measured on loopback).
        socket_options=[(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)],
        # Unlimited for paho, which would walk through them at each answer: the outlet bounds them.
        max_inflight_messages=0,
        **versioned,
    )


def subscription(qos: int, protocols: Protocols) -> dict[str, Any]:
    """Keywords for ``subscribe``: retained messages come with a new subscription only."""
    if not protocols.is_v5:
        return {"qos": qos}
    return {
        "options": SubscribeOptions(
            qos=qos, retainAsPublished=False, retainHandling=SubscribeOptions.RETAIN_SEND_IF_NEW_SUB
        )
    }


def _is_version_fault(error: aiomqtt.MqttError) -> bool:
    text = str(error)
    return "before it answered" in text or "protocol version" in text.lower()


def _plain(error: aiomqtt.MqttError) -> str:
    text = re.sub(r"^\[Errno -?\d+\] ", "", str(error))
    if "Operation timed out" in text:
        return "it did not answer in time"
    return text


def _refused(options: BrokerOptions, error: aiomqtt.MqttError) -> str:
    who = f'user "{options.username}"' if options.username else "an anonymous client"
    return (
        f"broker {options.name} refused {who} ({error}). "
        "Set mqtt.username and mqtt.password_file to what the broker knows."
    )
