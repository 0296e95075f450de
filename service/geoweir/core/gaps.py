"""Gaps in the sequence numbers of devices: what got lost before it reached us, found per id.

The rule, for each id by itself:

- A number ahead of the last one opens a gap: those in between. One of them that comes later was
  only late, and is missing no more.
- What is left of a gap is counted when ``patience_s`` has passed, or the numbers have gone 64
  beyond its end, or eight younger gaps are open.
- A number up to 64 behind the last that is in no open gap is a repeat, and means nothing.
- One further behind, or a million ahead, is a restart of the device's counting: open gaps are
  counted, and the numbers begin anew there, as with the first number of an id: what came before it
  is unknown.
- Unless it is sent again: the broker marked it so, or we or the connection came back, the id has
  not passed its last number since, and it is no more than ``redelivered`` behind.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final, NamedTuple

__all__ = ["MOST_OPEN", "WINDOW", "Found", "Gaps", "Track"]

#: So far behind the last number a repeat needs no explanation, and a gap is late no longer.
WINDOW: Final = 64
#: Gaps of one id that are open at once.
MOST_OPEN: Final = 8
#: So far ahead is no loss but another counter.
_JUMP: Final = 1_000_000


class Found(NamedTuple):
    """A gap that is counted: the numbers of an id from ``first`` to ``last``, both missing."""

    id: str
    first: int
    last: int


class Track(NamedTuple):
    """One id as it is saved: its last number, and its open gaps."""

    id: str
    last: int
    open: tuple[tuple[int, int], ...] = ()


class _Gap(NamedTuple):
    first: int
    last: int
    due: float  # monotonic seconds


@dataclass(slots=True)
class _State:
    last: int
    turn: int  # in which the last number came
    open: list[_Gap] = field(default_factory=list)  # ascending


class Gaps:
    """The sequence numbers of one stream.

    Args:
        most: ids that are remembered; the one heard of longest ago is forgotten.
        patience_s: how long a number may be late.
        redelivered: how many inputs a broker may send again.
        is_saved: note what changes, for ``take_changed`` and ``take_gone``, which must be called
            then.

    Attributes:
        gaps: those that are counted.
        missing: the numbers in them.
        restarts: how often a device began to count anew.
        evicted: how many ids were forgotten because there are more than ``most``.
    """

    def __init__(
        self,
        most: int,
        *,
        patience_s: float = 10.0,
        redelivered: int = 10_000,
        is_saved: bool = False,
    ) -> None:
        self._most = most
        self._is_saved = is_saved
        self._patience_s = patience_s
        self._redelivered = redelivered
        self._turn = 0
        self._ids: OrderedDict[str, _State] = OrderedDict()
        self._due: deque[tuple[float, str]] = deque()  # what opened within the last patience_s
        self._changed: set[str] = set()
        self._gone: set[str] = set()
        self.gaps = 0
        self.missing = 0
        self.restarts = 0
        self.evicted = 0

    def __len__(self) -> int:
        return len(self._ids)

    def came_back(self) -> None:
        """We or the connection came back: what is unconfirmed comes again."""
        self._turn += 1

    def restore(self, tracks: Iterable[Track], now: float) -> None:
        """Takes up what was saved, the one heard of longest ago first."""
        due = now + self._patience_s
        for track in tracks:
            gaps = [_Gap(first, last, due) for first, last in track.open]
            self._ids[track.id] = _State(track.last, self._turn, gaps)
            if gaps:
                self._due.append((due, track.id))
        while len(self._ids) > self._most:
            self._ids.popitem(last=False)
        self.came_back()

    def take_changed(self) -> list[Track]:
        """What is to be saved since the last call; forgotten ids are not among it."""
        changed, self._changed = self._changed, set()
        found = [(ident, self._ids.get(ident)) for ident in changed]
        return [
            Track(ident, state.last, tuple((gap.first, gap.last) for gap in state.open))
            for ident, state in found
            if state is not None
        ]

    def take_gone(self) -> set[str]:
        """The ids that were forgotten since the last call, and not heard of again."""
        gone, self._gone = self._gone, set()
        return gone

    def see(self, ident: str, number: int, now: float, *, again: bool = False) -> list[Found]:
        """An input came; the gaps that are counted by it.

        Args:
            ident: the device's id.
            number: its sequence number.
            now: monotonic seconds.
            again: the broker marked it as sent before.
        """
        state = self._ids.get(ident)
        if state is None:
            return self._begin(ident, number)
        self._ids.move_to_end(ident)
        ahead = number - state.last
        if ahead <= 0 and (self._was_open(ident, state, number) or ahead > -WINDOW):
            return []
        if ahead > _JUMP or (ahead < 0 and not self._is_again(state, ahead, again=again)):
            self.restarts += 1
            return self._count(ident, state, len(state.open)) + self._begin(ident, number)
        return self._go_on(ident, state, number, now) if ahead > 0 else []

    def overdue(self, now: float) -> list[Found]:
        """The gaps that are counted because nothing came to fill them in time."""
        found: list[Found] = []
        while self._due and self._due[0][0] <= now:
            _, ident = self._due.popleft()
            state = self._ids.get(ident)
            if state is not None:
                found += self._count(ident, state, sum(gap.due <= now for gap in state.open))
        return found

    def _begin(self, ident: str, number: int) -> list[Found]:
        """What came before the first number is unknown."""
        self._ids[ident] = _State(number, self._turn)
        self._note(ident)
        if len(self._ids) <= self._most:
            return []
        gone, state = self._ids.popitem(last=False)
        self.evicted += 1
        found = self._count(gone, state, len(state.open))
        if self._is_saved:
            self._changed.discard(gone)
            self._gone.add(gone)
        return found

    def _note(self, ident: str) -> None:
        if self._is_saved:
            self._changed.add(ident)
            self._gone.discard(ident)

    def _was_open(self, ident: str, state: _State, number: int) -> bool:
        """Takes a number out of the gap that it is in, if it is in one."""
        for place, gap in enumerate(state.open):
            if gap.first <= number <= gap.last:
                parts = (gap._replace(last=number - 1), gap._replace(first=number + 1))
                state.open[place : place + 1] = [one for one in parts if one.first <= one.last]
                self._note(ident)
                return True
        return False

    def _is_again(self, state: _State, ahead: int, *, again: bool) -> bool:
        return again or (state.turn != self._turn and -ahead <= self._redelivered)

    def _go_on(self, ident: str, state: _State, number: int, now: float) -> list[Found]:
        """The last number moves up."""
        if number > state.last + 1:
            state.open.append(_Gap(state.last + 1, number - 1, now + self._patience_s))
            self._due.append((now + self._patience_s, ident))
        state.last, state.turn = number, self._turn
        self._note(ident)
        passed = sum(number - gap.last > WINDOW for gap in state.open)
        return self._count(ident, state, max(passed, len(state.open) - MOST_OPEN))

    def _count(self, ident: str, state: _State, n: int) -> list[Found]:
        """Counts the first ``n`` open gaps."""
        if n <= 0:
            return []
        counted, state.open = state.open[:n], state.open[n:]
        self._note(ident)
        self.gaps += n
        self.missing += sum(gap.last - gap.first + 1 for gap in counted)
        return [Found(ident, gap.first, gap.last) for gap in counted]
