"""Puts finished chunks back in the order in which they were started, stream by stream."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Generic, TypeVar

__all__ = ["Resequencer"]

T = TypeVar("T")


class Resequencer(Generic[T]):
    """Hands out what was put in by number, without holes.

    The number of things that wait is bounded by what its user lets start.
    """

    def __init__(self) -> None:
        self._started = 0
        self._due = 0
        self._waiting: dict[int, T] = {}

    def __len__(self) -> int:
        return len(self._waiting)

    def start(self) -> int:
        """The number of the next chunk; every number given out must come back by ``finish``."""
        number = self._started
        self._started += 1
        return number

    def finish(self, number: int, thing: T) -> list[T]:
        """Takes what became of a chunk; everything that is due now, in order."""
        if not self._due <= number < self._started or number in self._waiting:
            raise ValueError(f"number {number} was not started or is finished already")
        self._waiting[number] = thing
        ready = []
        while self._due in self._waiting:
            ready.append(self._waiting.pop(self._due))
            self._due += 1
        return ready

    def waiting(self) -> Iterator[T]:
        """What is finished and waits for something started before it."""
        return iter(self._waiting.values())
