"""One connection to the broker as inlet and outlet see it, whatever client is underneath.

Everything here moves in batches: what one read brought, what one write carries. Two modules
implement ``Link``: ``stream_link`` (MQTT 5 over TCP and TLS, ours) and ``aiomqtt_link`` (MQTT 3.1.1
and WebSockets); ``dial`` chooses.
"""

from __future__ import annotations

import ssl
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final, Protocol

from geoweir.core.lane import Headers
from geoweir.errors import BrokerError
from geoweir.mqtt.options import BrokerOptions
from geoweir.ports import Outgoing, Refusal

__all__ = [
    "MAXIMUM_PACKET",
    "PACKET_ID_MAXIMUM",
    "REFUSED",
    "Arrivals",
    "AuthenticationError",
    "Greeting",
    "Link",
    "LinkOptions",
    "Listener",
    "NotYetValidError",
    "VersionError",
    "bounded_headers",
    "certificate_end",
    "certificate_error",
    "not_authorized",
]

#: The largest packet that we accept at all; what is larger, the broker must not send (MQTT 5).
MAXIMUM_PACKET: Final = 16 * 1024 * 1024
PACKET_ID_MAXIMUM: Final = 65_535
#: Reason codes from here on say no.
REFUSED: Final = 0x80
_NOT_YET_VALID: Final = 9  # X509_V_ERR_CERT_NOT_YET_VALID
#: User properties of one input that are passed on, and their bytes, at most.
_USER_PROPERTIES: Final = 32
_USER_PROPERTY_BYTES: Final = 4096


class AuthenticationError(BrokerError):
    """The broker refused who we say we are; trying again does not help."""


class NotYetValidError(BrokerError):
    """The broker's certificate is valid later: by our clock, which may be the one that is wrong."""


class VersionError(BrokerError):
    """The broker does not speak this version of MQTT."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Greeting:
    """What the broker said when it accepted the connection."""

    session_present: bool
    receive_maximum: int = PACKET_ID_MAXIMUM  # publishes of ours under way at once
    packet_limit: int = 268_435_455  # bytes of a packet of ours
    certificate_ends: float | None = None  # Unix seconds; None without TLS, or where nobody says


@dataclass(slots=True)
class Arrivals:
    """Inputs of one read, in order; every column has one entry per input.

    Attributes:
        mids: the packet id that an acknowledgement needs, 0 at QoS 0.
        flags: the flags of ``core.lane``.
        size: bytes of all payloads.
    """

    mids: list[int] = field(default_factory=list)
    payloads: list[bytes] = field(default_factory=list)
    addresses: list[str] = field(default_factory=list)
    headers: list[Headers] = field(default_factory=list)
    flags: bytearray = field(default_factory=bytearray)
    size: int = 0

    def __len__(self) -> int:
        return len(self.mids)

    def extend(self, later: Arrivals) -> None:
        """Appends what came after."""
        self.mids += later.mids
        self.payloads += later.payloads
        self.addresses += later.addresses
        self.headers += later.headers
        self.flags += later.flags
        self.size += later.size


class Listener(Protocol):
    """Whoever owns a link and is told what happens on it."""

    def connected(self, greeting: Greeting) -> None:
        """The broker accepted the connection; inputs of a resumed session follow at once."""

    def room(self) -> tuple[int, int]:
        """How many inputs, and bytes of them, may arrive before reading is to stop."""

    def arrived(self, arrivals: Arrivals) -> None:
        """Inputs arrived."""

    def acknowledged(self, mids: Sequence[int], refused: Mapping[int, Refusal]) -> None:
        """The broker answered publishes of ours; those in ``refused`` with a no."""

    def writable(self) -> None:
        """What the link wrote has left: it takes messages again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkOptions:
    """What is peculiar to one connection."""

    client_id: str
    session_expiry_s: int
    receive_maximum: int | None = None
    will: Outgoing | None = None


class Link(Protocol):
    """A connection that the broker has accepted, until it is lost."""

    @property
    def is_paused(self) -> bool:
        """Whether reading is paused."""

    @property
    def is_writable(self) -> bool:
        """Whether it takes messages: not while too much of what was written waits to leave."""

    def pause(self) -> None:
        """Stops reading: the kernel and then the broker hold what comes."""

    def resume(self) -> None:
        """Reads again, beginning with what was received already."""

    def acknowledge(self, mids: Sequence[int]) -> None:
        """Sends the PUBACK of each input, in this order."""

    def post(self, messages: Sequence[Outgoing]) -> list[int | Refusal]:
        """Publishes without waiting.

        Returns:
            For each message the packet id that ``acknowledged`` will name (0 at QoS 0), or why it
            can't be sent. Shorter than ``messages`` where the connection is gone: the rest was not
            sent.
        """

    async def subscribe(self, topic_filter: str, qos: int) -> None:
        """Subscribes, retained messages only with a new subscription.

        Raises:
            BrokerError: the broker refused, or did not answer in time.
        """

    async def lost(self) -> None:
        """Waits until the connection is gone; raises BrokerError with the cause."""

    async def leave(self) -> None:
        """Sends DISCONNECT behind everything that was written, and ends the connection."""


def bounded_headers(properties: Iterable[tuple[str, str]]) -> Headers:
    """The user properties of an input that are passed on: the first ones, within their bounds."""
    kept: list[tuple[str, str]] = []
    size = 0
    for name, value in properties:
        size += len(name) + len(value)
        if len(kept) == _USER_PROPERTIES or size > _USER_PROPERTY_BYTES:
            break
        kept.append((name, value))
    return tuple(kept)


def certificate_end(certificate: Mapping[str, object] | None) -> float | None:
    """When a peer's certificate ends, in Unix seconds; None where there is none."""
    end = None if certificate is None else certificate.get("notAfter")
    return float(ssl.cert_time_to_seconds(end)) if isinstance(end, str) else None


def certificate_error(options: BrokerOptions, error: ssl.SSLCertVerificationError) -> BrokerError:
    """The error for a broker whose certificate is not accepted."""
    text = f"broker {options.name}: its certificate is not accepted: {error.verify_message}"
    if error.verify_code != _NOT_YET_VALID:
        return BrokerError(text)
    clock = datetime.now(UTC).strftime("%Y-%m-%d %H:%M")
    return NotYetValidError(
        f"{text}; this machine's clock says {clock} UTC. If that is wrong, set it (NTP, a clock "
        "with a battery); trying again"
    )


def not_authorized(options: BrokerOptions, reason: str) -> AuthenticationError:
    """The error for a broker that does not accept who we say we are."""
    who = f'user "{options.username}"' if options.username else "an anonymous client"
    return AuthenticationError(
        f"broker {options.name} refused {who} ({reason}). "
        "Set mqtt.username and mqtt.password_file to what the broker knows."
    )
