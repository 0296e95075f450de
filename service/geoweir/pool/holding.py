"""What a worker holds: its open layers and rasters, and the chains that were made on them.

A worker opens none by a path. It gets descriptors through a socket of their own, and a frame in
order with the chunks says what each one is. So every chunk is worked with one version of
each of them, and no worker ever waits for another.
"""

from __future__ import annotations

import importlib
import os
import socket
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, Protocol, cast

from geoweir.core.spec import Reference, WorkerSpec
from geoweir.core.work import ChunkDone, ChunkWork
from geoweir.errors import GeoweirError, WorkerError
from geoweir.pool.frames import Assignment, Hand, Handed, Refused

__all__ = ["MOST_AT_ONCE", "Chain", "Holding"]

#: Descriptors in one message; the kernel takes 253.
MOST_AT_ONCE: Final = 64

_Open = Callable[[WorkerSpec, Reference, int], Any]
_Build = Callable[[WorkerSpec, Mapping[Reference, Any]], Sequence["Chain"]]


class Chain(Protocol):
    """A stream's steps, ready to run."""

    def run(self, work: ChunkWork) -> ChunkDone:
        """Gives each input of the chunk its outcome."""
        ...


class Holding:
    """The files and chains of one worker.

    Args:
        assignment: what the worker is for.
        door: where descriptors come through.
        told: an exception as text that a person can read.
    """

    def __init__(
        self, assignment: Assignment, door: socket.socket, told: Callable[[BaseException], str]
    ) -> None:
        self.chains: Sequence[Chain] = ()
        self._spec = assignment.spec
        self._open, self._build = _seam(assignment.chains)
        self._door = door
        self._told = told
        self._held: dict[Reference, Any] = {}
        self._waiting: list[tuple[Handed, int]] = []

    def receive(self, hand: Hand) -> None:
        """Takes the descriptors of a hand out of the door, where they wait already.

        Raises:
            WorkerError: there were others than the hand says.
        """
        if not hand.files:
            return
        _, descriptors, _, _ = socket.recv_fds(self._door, 1, MOST_AT_ONCE)
        if len(descriptors) != len(hand.files):
            raise WorkerError(f"{len(descriptors)} files came, {len(hand.files)} were announced")
        self._waiting += zip(hand.files, descriptors, strict=True)

    def begin(self) -> None:
        """Opens everything that was received, and makes the chains.

        Raises:
            GeoweirError: a file is not to be used, or a chain not to be made.
        """
        for handed, descriptor in self._taken():
            reference = Reference(handed.kind, handed.name)
            try:
                self._held[reference] = self._opened(reference, descriptor)
            except GeoweirError as error:
                raise WorkerError(f"{reference}: {error}") from error
        self.chains = self._build(self._spec, self._held)

    def renew(self, fits: Callable[[], bool]) -> list[Refused]:
        """Takes up what was received, each file if the chains can be made on it.

        Args:
            fits: whether there is still room for chunks beside what was taken up.
        """
        refused = []
        for handed, descriptor in self._taken():
            try:
                self._take_up(Reference(handed.kind, handed.name), descriptor, fits)
            except Exception as error:  # noqa: BLE001 - whatever it is, the old one stays
                why = self._told(error)
                refused.append(Refused(handed.kind, handed.name, handed.version, why))
        return refused

    def _take_up(self, reference: Reference, descriptor: int, fits: Callable[[], bool]) -> None:
        """Takes one file up, or raises and has changed nothing."""
        held = self._held | {reference: self._opened(reference, descriptor)}
        chains = self._build(self._spec, held)
        if not fits():
            raise WorkerError("it leaves too little of pool.memory for chunks")
        self._held, self.chains = held, chains

    def _opened(self, reference: Reference, descriptor: int) -> Any:  # noqa: ANN401 - the seam's
        try:
            return self._open(self._spec, reference, descriptor)
        finally:
            os.close(descriptor)

    def _taken(self) -> list[tuple[Handed, int]]:
        waiting, self._waiting = self._waiting, []
        return waiting


def _seam(path: str) -> tuple[_Open, _Build]:
    module_name, _, function = path.partition(":")
    module = importlib.import_module(module_name)
    return cast("_Open", module.open_reference), cast("_Build", getattr(module, function))
