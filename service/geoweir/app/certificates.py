"""Follows the certificate files: changed ones are taken up by connecting anew."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Iterable
from typing import Final, Protocol

from geoweir.mqtt.expiry import ends_at
from geoweir.mqtt.options import TlsFiles
from geoweir.telemetry.certificates import CertificatesRefused, CertificatesRenewed
from geoweir.telemetry.events import Event

__all__ = ["Certificates", "Renewable"]

#: How often the files are looked at.
_EVERY_S: Final = 2.0

#: What tells a file from the one before: also where a link to it was changed, as Kubernetes does.
_Sign = tuple[int, ...]


class Renewable(Protocol):
    """A connection that can be made anew without losing anything."""

    def renew(self) -> None:
        """Ends as soon as nothing is under way, and connects anew."""


class Certificates:
    """Looks at the files, and says when certificates end.

    Args:
        files: None where the broker is reached without TLS.
        connections: all that the service has.
        broker_ends: when the certificate ends that the broker showed last, in Unix seconds.
        emit: told of every change.
    """

    def __init__(
        self,
        files: TlsFiles | None,
        *,
        connections: Callable[[], Iterable[Renewable]],
        broker_ends: Callable[[], float | None],
        emit: Callable[[Event], None],
    ) -> None:
        self._files = files
        self._connections = connections
        self._broker_ends = broker_ends
        self._emit = emit
        self._own_ends: float | None = None
        self._signs: list[_Sign | None] = []
        self._refused: list[_Sign | None] | None = None  # not good at the last look

    def ends(self) -> dict[str, float]:
        """When our own certificate, and the broker's, end: Unix seconds, as far as known."""
        known = {"own": self._own_ends, "broker": self._broker_ends()}
        return {name: end for name, end in known.items() if end is not None}

    async def run(self) -> None:
        """Looks until cancelled."""
        if self._files is None:
            return
        self._signs = await asyncio.to_thread(self._look)
        self._own_ends = await asyncio.to_thread(self._read_end)
        while True:
            await asyncio.sleep(_EVERY_S)
            signs = await asyncio.to_thread(self._look)
            if signs != self._signs:
                await self._take_up(self._files, signs)

    async def _take_up(self, files: TlsFiles, signs: list[_Sign | None]) -> None:
        try:
            await asyncio.to_thread(files.read)
        except OSError as error:
            # Once: between the change of a certificate and that of its key they never fit.
            if signs == self._refused:
                self._emit(CertificatesRefused(why=error.strerror or str(error)))
                self._signs = signs
            self._refused = signs
            return
        self._signs, self._refused = signs, None
        self._own_ends = await asyncio.to_thread(self._read_end)
        self._emit(CertificatesRenewed(ends=self.ends()))
        for connection in self._connections():
            connection.renew()

    def _look(self) -> list[_Sign | None]:
        return [_sign_of(path) for path in _paths(self._files)]

    def _read_end(self) -> float | None:
        if self._files is None or self._files.cert is None:
            return None
        try:
            return ends_at(self._files.cert)
        except (OSError, ValueError):
            return None


def _paths(files: TlsFiles | None) -> list[str]:
    named = () if files is None else (files.ca, files.cert, files.key)
    return [path for path in named if path is not None]


def _sign_of(path: str) -> _Sign | None:
    try:
        found = os.stat(path)  # noqa: PTH116 - the fields are wanted, not a Path
    except OSError:
        return None
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns
