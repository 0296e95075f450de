"""Certificates for a broker on loopback and its clients, from an authority of the test's own."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import trustme

from support.brokers import Broker, needs_mosquitto, open_mosquitto
from support.mosquitto import free_port

__all__ = ["Authority", "Certificates", "open_tls_broker"]


class Authority:
    """Signs certificates into a folder."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(exist_ok=True)
        self.folder = folder
        self.file = folder / "ca.pem"
        self._authority = trustme.CA()
        self._authority.cert_pem.write_to_path(str(self.file))

    def issue(
        self,
        *identities: str,
        name: str,
        not_before: datetime | None = None,
        not_after: datetime | None = None,
    ) -> Certificates:
        """A certificate and its key as NAME.pem and NAME.key; the name is the common name, too."""
        issued = self._authority.issue_cert(
            *identities, common_name=name, not_before=not_before, not_after=not_after
        )
        made = Certificates(self.file, self.folder / f"{name}.pem", self.folder / f"{name}.key")
        for number, part in enumerate(issued.cert_chain_pems):
            part.write_to_path(str(made.chain), append=number > 0)
        issued.private_key_pem.write_to_path(str(made.key))
        return made


@dataclass(frozen=True, slots=True)
class Certificates:
    """Paths of PEM files."""

    authority: Path
    chain: Path
    key: Path

    @classmethod
    def make(cls, folder: Path) -> Certificates:
        """New ones for 127.0.0.1, in a folder."""
        return Authority(folder).issue("127.0.0.1", name="server")


@contextmanager
def open_tls_broker(folder: Path, server: Certificates) -> Iterator[tuple[Broker, str]]:
    """A mosquitto that lets clients in by their certificates, whose name is their user.

    Gives the broker as the test's own clients reach it, without TLS, and the URL of its other door.
    """
    needs_mosquitto()
    port, other = free_port(), free_port()
    doors = (
        f"listener {other} 127.0.0.1\n"
        f"listener {port} 127.0.0.1\n"
        f"cafile {server.authority}\ncertfile {server.chain}\nkeyfile {server.key}\n"
        "require_certificate true\nuse_identity_as_username true\n"
    )
    with open_mosquitto(folder, extra=doors, port=other) as broker:
        yield broker, f"mqtts://127.0.0.1:{port}"
