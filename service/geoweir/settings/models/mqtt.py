"""The section ``mqtt``: how the broker is reached."""

from __future__ import annotations

import re
from typing import Annotated, Final, Literal

from pydantic import AfterValidator, Field, SecretStr

from geoweir.settings.address import AddressError, read_broker_url
from geoweir.settings.models.types import ProtocolText, Section, Text, duration, refusal

__all__ = ["Mqtt", "Tls"]

_CLIENT_ID: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:@-]{0,63}")


def _url(value: str) -> str:
    try:
        read_broker_url(value)
    except AddressError as error:
        raise refusal(str(error), error.help, "bad-url") from None
    return value


def _client_id(value: str) -> str:
    if not _CLIENT_ID.fullmatch(value):
        raise refusal(
            "this client id can't name the broker's sessions and the status topic.",
            "Write 1 to 64 letters, digits, - . _ : @, beginning with a letter or digit.",
        )
    return value


class Tls(Section):
    """Files in PEM form for mqtts and wss."""

    ca: Text | None = None
    """The authorities that may have signed the broker's certificate; null: the system's."""
    cert: Text | None = None
    """Our own certificate, for brokers that ask for one."""
    key: Text | None = None
    """The key of our own certificate."""


class Mqtt(Section):
    """How the broker is reached, and how much may be unacknowledged."""

    url: Annotated[str, AfterValidator(_url)] = "mqtt://localhost:1883"
    """The broker: mqtt, mqtts, ws or wss."""
    protocol: Annotated[Literal["auto", "5", "3.1.1"], ProtocolText] = "auto"
    """The version of MQTT; auto tries 5 first."""
    client_id: Annotated[str, AfterValidator(_client_id)] = "geoweir"
    """Stable name of the broker's sessions: CLIENT_ID-STREAM for each stream, and CLIENT_ID-out."""
    username: Text | None = None
    """Null: GEOWEIR_MQTT_USERNAME of the environment, else the URL's."""
    password: SecretStr | None = None
    """Null: password_file, else GEOWEIR_MQTT_PASSWORD of the environment, else the URL's."""
    password_file: Text | None = None
    """A file whose first line is the password, relative to the configuration's folder."""
    tls: Tls = Tls()
    """Certificates for mqtts and wss."""
    session_expiry: Annotated[float, duration("1s", "36500d")] = 3600.0
    """How long the broker keeps what came while the service was away."""
    receive_window: Annotated[int, Field(ge=1, le=65_535)] = 10_000
    """Unacknowledged inputs at once, per stream; at most 32 MB of them too."""
    ack_order: Literal["received", "any"] = "received"
    """Order of acknowledgements: as MQTT asks, or any for brokers that forgive."""
