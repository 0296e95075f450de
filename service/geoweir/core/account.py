"""The account: where every input is, as a table of states and transitions.

All rules that say what may happen to an input live in this file and nowhere else. The account has
no I/O and no clock: stages report what they did, the account decides whether that is legal, and
settlement acts on what it says.

An input starts in flight and stays there until somebody gives it an outcome: its default is *lost,
and it shows*. ``unaccounted`` compares what was received with what has an outcome and what the
stages say they hold; an input that a stage forgot is in neither, and the difference is not 0.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum, IntEnum
from typing import Final

from geoweir.core.lane import DURABLE, REPEATED
from geoweir.core.outcome import REASONS, Outcome

__all__ = [
    "TRANSITIONS",
    "Account",
    "EarlierTotals",
    "Event",
    "IllegalTransitionError",
    "Ledger",
    "State",
    "StreamTotals",
]


class State(IntEnum):
    """Where an input is."""

    RECEIVED = 0  # read from its lane, in the hands of intake
    QUEUED = 1  # waiting in the weir
    WORKING = 2  # in a chunk that a worker has, or whose answer waits for its turn
    DELIVERING = 3  # the messages its outcome needs are on their way to the broker
    PUBLISHED = 4
    FILTERED = 5
    REJECTED = 6
    RECONCILED = 7
    SPILLED = 8  # durable on our disk: its lane may forget it, it comes back on a lane of ours
    RETURNED = 9  # voided by a lost connection: it comes again


class Event(Enum):
    """What a stage may report."""

    QUEUE = "queue"
    START = "start"
    DELIVER = "deliver"
    SPILL = "spill"
    PUBLISH = Outcome.PUBLISHED
    FILTER = Outcome.FILTERED
    REJECT = Outcome.REJECTED
    RECONCILE = Outcome.RECONCILED
    RETURN = "return"


#: The table. What isn't in it raises, and is never logged and forgiven.
TRANSITIONS: Final[dict[tuple[State, Event], State]] = {
    (State.RECEIVED, Event.QUEUE): State.QUEUED,
    (State.RECEIVED, Event.DELIVER): State.DELIVERING,  # rejected at the door: too big, empty
    (State.RECEIVED, Event.FILTER): State.FILTERED,  # by the pre-filter
    (State.RECEIVED, Event.SPILL): State.SPILLED,
    (State.QUEUED, Event.START): State.WORKING,
    (State.QUEUED, Event.DELIVER): State.DELIVERING,  # reconciled at shutdown
    (State.WORKING, Event.DELIVER): State.DELIVERING,
    (State.WORKING, Event.FILTER): State.FILTERED,
    (State.DELIVERING, Event.PUBLISH): State.PUBLISHED,
    (State.DELIVERING, Event.REJECT): State.REJECTED,
    (State.DELIVERING, Event.RECONCILE): State.RECONCILED,
    # A lost connection voids what has no outcome yet; what a stage reports of it later is history.
    (State.RECEIVED, Event.RETURN): State.RETURNED,
    (State.QUEUED, Event.RETURN): State.RETURNED,
    (State.WORKING, Event.RETURN): State.RETURNED,
    (State.DELIVERING, Event.RETURN): State.RETURNED,
    **{(State.RETURNED, event): State.RETURNED for event in Event},
}

_ILLEGAL: Final = 255
#: One translation table per event: the next state of each state.
_NEXT: Final[dict[Event, bytes]] = {
    event: bytes(
        TRANSITIONS.get((State(s), event), _ILLEGAL) if s < len(State) else _ILLEGAL
        for s in range(256)
    )
    for event in Event
}
_RETURNED: Final = int(State.RETURNED)
_IN_FLIGHT_LIMIT: Final = int(State.PUBLISHED)  # states below it are in flight
#: The states of what may be confirmed: a voided input must not be, it is to be sent again.
_FINISHED: Final = bytes(range(State.PUBLISHED, State.RETURNED))


#: Flags of inputs that come for the first time.
_NOT_REPEATED: Final = bytes(flag for flag in range(256) if not flag & REPEATED)


class IllegalTransitionError(Exception):
    """A stage reported what the table does not allow: a fault of ours, never of an input."""


@dataclass(slots=True)
class StreamTotals:
    """What became of one stream's inputs since the start."""

    received: int = 0
    redelivered: int = 0
    returned: int = 0
    outcomes: dict[tuple[Outcome, str], int] = field(
        default_factory=lambda: {
            (outcome, reason): 0 for outcome, reasons in REASONS.items() for reason in reasons
        }
    )

    def settled(self) -> int:
        """Inputs that have an outcome."""
        return sum(self.outcomes.values())

    def of(self, outcome: Outcome) -> int:
        """Inputs that ended so, for any reason."""
        return sum(self.outcomes[outcome, reason] for reason in REASONS[outcome])


@dataclass(frozen=True, slots=True)
class EarlierTotals:
    """What a service counted of a stream before it took up another configuration."""

    received: int
    redelivered: int
    returned: int
    outcomes: list[tuple[str, str, int]]


class Ledger:
    """The states of one lane's epoch, from its first unconfirmed position on."""

    def __init__(self, stream: str, lane: str, epoch: int) -> None:
        self.stream = stream
        self.lane = lane
        self.epoch = epoch
        self.is_closed = False
        self._base = 0  # the first position that isn't confirmed
        self._states = bytearray()
        self._flags = bytearray()
        self._marks: deque[tuple[int, float]] = deque()  # (first position, arrival) of each batch

    def __repr__(self) -> str:
        return (
            f"<Ledger {self.lane}/{self.epoch} {'closed' if self.is_closed else 'open'} "
            f"confirmed={self._base} held={self.in_flight()}>"
        )

    @property
    def next_position(self) -> int:
        """The position that the next input must have."""
        return self._base + len(self._states)

    def in_flight(self) -> int:
        """Inputs without an outcome."""
        return sum(self._states.count(state) for state in range(_IN_FLIGHT_LIMIT))

    def in_flight_before(self, position: int) -> int:
        """Inputs before a position that have no outcome."""
        states = self._states[: max(0, position - self._base)]
        return sum(states.count(state) for state in range(_IN_FLIGHT_LIMIT))

    def open(self, first: int, flags: bytes, arrived: float) -> None:
        """Takes up inputs; ``first`` must follow the last position without a hole."""
        if first != self.next_position:
            raise IllegalTransitionError(
                f"{self!r}: position {first} came where {self.next_position} was due"
            )
        self._states.extend(bytes(len(flags)))
        self._flags.extend(flags)
        self._marks.append((first, arrived))

    def advance(self, positions: Sequence[int], event: Event) -> int:
        """Moves inputs along the table; how many of them are not voided.

        Either every position moves or, with IllegalTransitionError, none does.
        """
        if not positions:
            return 0
        states, first, last = self._states, min(positions) - self._base, max(positions) - self._base
        if first < 0 or last >= len(states):
            raise IllegalTransitionError(f"{self!r}: {event} for a position it does not hold")
        if last - first + 1 == len(positions) == len(set(positions)):
            # What travels together usually came together: one translation for all.
            following = states[first : last + 1].translate(_NEXT[event])
            self._refuse(event, following, range(first, last + 1))
            states[first : last + 1] = following
        else:
            places = [position - self._base for position in positions]
            following = bytearray([states[place] for place in places]).translate(_NEXT[event])
            self._refuse(event, following, places)
            for place, state in zip(places, following, strict=True):
                states[place] = state
        return len(following) - following.count(_RETURNED)

    def _refuse(self, event: Event, following: bytearray, places: Sequence[int]) -> None:
        """IllegalTransitionError where a following state is none."""
        wrong = following.find(_ILLEGAL)
        if wrong >= 0:
            state = State(self._states[places[wrong]])
            position = self._base + places[wrong]
            raise IllegalTransitionError(f"{self!r}: {event} for {position}, which is {state.name}")

    def void(self) -> int:
        """Voids every durable input without an outcome; how many."""
        voided = 0
        for index, (state, flags) in enumerate(zip(self._states, self._flags, strict=True)):
            if state < _IN_FLIGHT_LIMIT and flags & DURABLE:
                self._states[index] = _RETURNED
                voided += 1
        return voided

    def confirm(self) -> int | None:
        """Lets go of the finished prefix; its last position, or None where it did not grow.

        A closed epoch keeps what it has, since stages may still report of it.
        """
        if self.is_closed:
            return None
        finished = len(self._states) - len(self._states.lstrip(_FINISHED))
        if not finished:
            return None
        del self._states[:finished]
        del self._flags[:finished]
        self._base += finished
        self._forget_marks(self._base)
        return self._base - 1

    def oldest(self) -> float | None:
        """When the oldest input without an outcome arrived."""
        waiting = next((i for i, s in enumerate(self._states) if s < _IN_FLIGHT_LIMIT), None)
        if waiting is None:
            self._marks.clear()
            return None
        self._forget_marks(self._base + waiting)
        return self._marks[0][1]

    def _forget_marks(self, position: int) -> None:
        """Forgets the batches that lie wholly before a position."""
        while len(self._marks) > 1 and self._marks[1][0] <= position:
            self._marks.popleft()


class Account:
    """The totals of every stream and the ledgers of its lanes."""

    def __init__(self, streams: Iterable[str]) -> None:
        self.totals: dict[str, StreamTotals] = {name: StreamTotals() for name in streams}
        self._ledgers: dict[str, list[Ledger]] = {name: [] for name in self.totals}

    def open_lane(self, stream: str, lane: str, epoch: int, *, resumed: bool) -> Ledger:
        """Begins an epoch; where the lane resumes, voids what its earlier epochs still hold."""
        if resumed:
            self._return_earlier(stream, lane)
        ledger = Ledger(stream, lane, epoch)
        self._ledgers[stream].append(ledger)
        return ledger

    def close_lane(self, ledger: Ledger) -> None:
        """Ends an epoch: nothing of it can be confirmed any more."""
        ledger.is_closed = True
        self._drop_finished(ledger.stream)

    def receive(self, ledger: Ledger, first: int, flags: bytes, arrived: float) -> None:
        """Takes up a batch of inputs, ``arrived`` on the caller's monotonic clock."""
        ledger.open(first, flags, arrived)
        totals = self.totals[ledger.stream]
        totals.received += len(flags)
        totals.redelivered += len(flags.translate(None, _NOT_REPEATED))

    def advance(self, ledger: Ledger, positions: Sequence[int], event: Event) -> int:
        """Reports a move that is no outcome yet; how many inputs it concerns that aren't voided."""
        return ledger.advance(positions, event)

    def settle(
        self, ledger: Ledger, positions: Sequence[int], outcome: Outcome, reason: str
    ) -> int:
        """Gives inputs their outcome, once; how many were counted (voided ones are not)."""
        totals = self.totals[ledger.stream].outcomes
        before = totals[outcome, reason]  # KeyError before any state has moved
        counted = ledger.advance(positions, Event(outcome))
        totals[outcome, reason] = before + counted
        return counted

    def give_back(self, ledger: Ledger, positions: Sequence[int]) -> None:
        """Leaves inputs to their lane, unconfirmed: they come again at the next start."""
        before = ledger.in_flight()
        ledger.advance(positions, Event.RETURN)
        returned = before - ledger.in_flight()
        self.totals[ledger.stream].received -= returned
        self.totals[ledger.stream].returned += returned

    def earlier_totals(self, held: Mapping[str, int]) -> dict[str, EarlierTotals]:
        """What is settled, for the account that follows; what is held is received anew there."""
        return {
            name: EarlierTotals(
                received=totals.received - held.get(name, 0),
                redelivered=totals.redelivered,
                returned=totals.returned,
                outcomes=[(str(o), reason, n) for (o, reason), n in totals.outcomes.items() if n],
            )
            for name, totals in self.totals.items()
        }

    def go_on_from(self, earlier: Mapping[str, EarlierTotals]) -> None:
        """Counts on from what the account before had of the streams that are still there."""
        for name, before in earlier.items():
            totals = self.totals.get(name)
            if totals is None:
                continue
            totals.received += before.received
            totals.redelivered += before.redelivered
            totals.returned += before.returned
            for outcome, reason, n in before.outcomes:
                totals.outcomes[Outcome(outcome), reason] += n

    def carry(self, stream: str, count: int) -> None:
        """Takes up inputs that an earlier life left on our disk."""
        self.totals[stream].received += count

    def bring_back(self, ledger: Ledger, first: int, flags: bytes, arrived: float) -> None:
        """Takes inputs up again that were spilled or carried: they are received already."""
        ledger.open(first, flags, arrived)

    def confirm(self, ledger: Ledger) -> int | None:
        """The finished prefix that may be confirmed to the lane now, if it grew."""
        if ledger.is_closed and not ledger.in_flight():
            self._drop_finished(ledger.stream)
        return ledger.confirm()

    def in_flight(self, stream: str) -> int:
        """Inputs of the stream without an outcome, by the ledgers."""
        return sum(ledger.in_flight() for ledger in self._ledgers[stream])

    def oldest(self, stream: str) -> float | None:
        """When the oldest input without an outcome arrived (the clock given to ``receive``)."""
        times = [t for t in (ledger.oldest() for ledger in self._ledgers[stream]) if t is not None]
        return min(times, default=None)

    def unaccounted(self, held: Mapping[str, int]) -> int:
        """Inputs that were received and are neither settled nor held by any stage.

        Args:
            held: what the stages say that they hold, per stream, counted by themselves.
        """
        return sum(
            totals.received - totals.settled() - held.get(name, 0)
            for name, totals in self.totals.items()
        )

    def snapshot(self, held: Mapping[str, int]) -> dict[str, object]:
        """The account in the shape of ``GET /api/account``."""
        return {
            "streams": {
                name: {
                    "received": totals.received,
                    **{str(outcome): totals.of(outcome) for outcome in Outcome},
                    "in_flight": held.get(name, 0),
                    "redelivered": totals.redelivered,
                }
                for name, totals in self.totals.items()
            },
            "unaccounted": self.unaccounted(held),
        }

    def _return_earlier(self, stream: str, lane: str) -> None:
        for ledger in self._ledgers[stream]:
            if ledger.lane == lane and ledger.is_closed:
                returned = ledger.void()
                self.totals[stream].received -= returned
                self.totals[stream].returned += returned
        self._drop_finished(stream)

    def _drop_finished(self, stream: str) -> None:
        self._ledgers[stream] = [
            ledger for ledger in self._ledgers[stream] if not ledger.is_closed or ledger.in_flight()
        ]
