"""The ports to the world: where inputs come from and where messages go.

None is named after MQTT; every implementation passes the contract tests in ``tests/contract``.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import msgspec

from geoweir.core.kept import Drop, Kept, Selection
from geoweir.core.lane import Batch, Headers, LaneClosed, LaneOpened
from geoweir.core.parcel import Parcel
from geoweir.core.spilled import Carried, Spilled, SpilledTotals
from geoweir.core.states import StateChange, StateRow

__all__ = ["Inlet", "Lives", "Outgoing", "Outlet", "Refusal", "Spill", "StateStore"]


class Inlet(Protocol):
    """An ordered source of inputs."""

    def batches(self) -> AsyncIterator[Batch | LaneOpened | LaneClosed]:
        """Yields what was read, in order, until ``close``.

        A lane announces each epoch with LaneOpened before its first batch and LaneClosed after its
        last. The inlet stops reading its source while more than its window of inputs is unsettled,
        and while the consumer does not take batches.
        """
        ...

    def settle(self, lane: str, epoch: int, position: int) -> None:
        """Confirms every input of the epoch up to and including ``position``.

        Receipts of a closed epoch are ignored: what they name comes again.
        """
        ...

    def settle_each(self, lane: str, epoch: int, positions: Sequence[int]) -> None:
        """Confirms single inputs out of order, for sources that forgive it."""
        ...

    def pause(self) -> None:
        """Stops reading from the source; what was read still comes out of ``batches``."""
        ...

    def resume(self) -> None:
        """Reads again."""
        ...

    async def close(self) -> None:
        """Ends ``batches`` after what was read, and keeps the lane open for ``settle``."""
        ...

    async def disconnect(self) -> None:
        """Leaves the source; what isn't settled comes again at the next start."""
        ...


class Outgoing(msgspec.Struct, frozen=True, gc=False):
    """One message for an outlet; a struct, because there is one for every result.

    ``key`` is the name that is the same whenever the message is sent again.
    """

    topic: str
    payload: bytes
    qos: int = 1
    retain: bool = False
    content_type: str | None = None
    headers: Headers = ()
    key: str | None = None


@dataclass(frozen=True, slots=True)
class Refusal:
    """The broker said no to a message, for good."""

    code: int
    text: str


class Outlet(Protocol):
    """Where messages go."""

    def send(
        self, messages: Sequence[Outgoing], *, flow: str = ""
    ) -> Awaitable[list[Refusal | None]]:
        """Queues the messages at once, in order, and completes when each has its answer.

        Messages of one flow leave in the order of their sending; flows take turns.

        None means acknowledged (or, at QoS 0, handed to the transport). A lost connection is no
        answer: the outlet keeps the messages and sends them again, in order, when it is back.
        """
        ...


class StateStore(Protocol):
    """What outlives the process: durable where it has a file, else kept in memory.

    Nothing here holds up the event loop or an outcome: what can't be kept is counted and told to
    whoever the store was given for that, and the service goes on.
    """

    def keep(self, drops: Sequence[Drop]) -> Awaitable[int]:
        """Keeps dropped inputs, and completes when they are durable; how many are."""
        ...

    def forget(self, ids: Sequence[str]) -> Awaitable[bool]:
        """Lets go of kept inputs; whether that is durable. Unknown ids are no fault."""
        ...

    def find(self, selection: Selection, *, most: int) -> Awaitable[list[Kept]]:
        """Up to ``most`` kept inputs by their sequence, without payloads.

        Raises:
            StateError: the store can't be read now.
        """
        ...

    def load(self, selection: Selection, *, most: int, most_bytes: int) -> Awaitable[list[Kept]]:
        """Likewise with payloads: of at most ``most_bytes``, but at least one.

        Raises:
            StateError: the store can't be read now.
        """
        ...

    def save_states(self, changes: Sequence[StateChange]) -> Awaitable[bool]:
        """Saves what streams remember, and completes when it is durable; whether it is."""
        ...

    def load_states(self, stream: str, kind: str) -> Awaitable[list[StateRow]]:
        """What a stream remembered of one kind, the oldest first.

        Raises:
            StateError: the store can't be read now.
        """
        ...

    def last_sequence(self) -> Awaitable[int]:
        """The greatest sequence so far; 0 where nothing was kept yet.

        Raises:
            StateError: the store can't be read now.
        """
        ...


class Lives(Protocol):
    """How this service's lives ended; survives the death of the process."""

    @property
    def short(self) -> int:
        """Lives in a row that ended soon and without being asked to, before this one."""
        ...

    @property
    def deadly(self) -> list[str]:
        """Digests of inputs that killed a service while they were alone in its hands."""
        ...

    def takes(self, digest: str | None) -> None:
        """This input alone is in hand; None: nothing is known to be."""
        ...

    def is_well(self) -> None:
        """What ended the lives before is over."""
        ...


class Spill(Protocol):
    """Where inputs wait that the queue has no room for: durable, in order per stream, bounded."""

    @property
    def totals(self) -> Mapping[str, SpilledTotals]:
        """What each stream has there without an outcome, as of the last call that ended."""
        ...

    @property
    def carried(self) -> Mapping[str, Carried]:
        """What was there at the start."""
        ...

    def append(self, stream: str, parcels: Sequence[Parcel]) -> Awaitable[int]:
        """Puts inputs behind what waits; when it completes they are durable. The first's sequence.

        Sequences count a stream's inputs up without holes, over restarts too.

        Raises:
            StateError: none of them is there; ``full`` where there is no room.
        """
        ...

    def release(self, stream: str, sequence: int, passed_over: Collection[int]) -> Awaitable[None]:
        """Completes when it is durable that inputs up to this one may be confirmed to their lane.

        ``passed_over``: sequences of inputs that come again from their lane.

        Raises:
            StateError: they may not.
        """
        ...

    def read(
        self, stream: str, *, most: int, most_bytes: int, up_to: int
    ) -> Awaitable[list[Spilled]]:
        """The next inputs of a stream up to a sequence, in order, each once; or none.

        Raises:
            StateError: they can't be read now.
        """
        ...

    def settle(self, stream: str, sequence: int) -> None:
        """Inputs up to this one have their outcome: they don't come again after a restart."""
        ...
