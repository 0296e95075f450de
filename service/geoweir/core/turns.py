"""A queue in which flows take turns, so that what one has piled up does not hold up the others.

Weighted round robin: each flow in turn gives up to its weight times a quantum of items. Within a
flow the order stays.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from typing import Final, Generic, TypeVar

from geoweir.core.spec import Priority

__all__ = ["QUANTUM", "WEIGHTS", "Turns"]

#: Items that a flow of weight 1 gives at its turn.
QUANTUM: Final = 32
#: The weight of a stream by its priority.
WEIGHTS: Final[Mapping[Priority, int]] = {"high": 4, "normal": 2, "low": 1}

T = TypeVar("T")


class Turns(Generic[T]):
    """Items in flows.

    Args:
        weights: of flows by name; 1 for others.
    """

    def __init__(self, weights: Mapping[str, int]) -> None:
        self._weights = weights
        self._first: deque[T] = deque()
        self._flows: dict[str, deque[T]] = {}
        self._order: deque[str] = deque()  # the flows that have items; the first one's turn it is
        self._credit = 0  # what it may still give at this turn
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def add(self, flow: str, items: Sequence[T]) -> None:
        """Puts items behind what waits of their flow."""
        if not items:
            return
        waiting = self._flows.get(flow)
        if waiting is None:
            waiting = self._flows[flow] = deque()
            self._order.append(flow)
        waiting.extend(items)
        self._count += len(items)

    def add_first(self, items: Iterable[T]) -> None:
        """Puts items before everything, in their order: what was taken and came back."""
        before = list(items)
        self._first.extendleft(reversed(before))
        self._count += len(before)

    def take(self, count: int) -> list[T]:
        """The next items, at most so many."""
        taken: list[T] = []
        while self._first and len(taken) < count:
            taken.append(self._first.popleft())
        while self._order and len(taken) < count:
            self._take_turn(taken, count - len(taken))
        self._count -= len(taken)
        return taken

    def _take_turn(self, taken: list[T], room: int) -> None:
        """Takes of the flow whose turn it is, and ends its turn when it has given its share."""
        flow = self._order[0]
        waiting = self._flows[flow]
        credit = self._credit or self._weights.get(flow, 1) * QUANTUM
        given = min(credit, len(waiting), room)
        taken += [waiting.popleft() for _ in range(given)]
        self._credit = credit - given
        if not waiting:
            del self._flows[flow]
            self._order.popleft()
            self._credit = 0
        elif not self._credit:
            self._order.rotate(-1)
