"""Keeps what was dropped, before its outcome is settled.

An input that was rejected or reconciled is written down with everything that sending it again
needs. Delivery waits for that before it settles the outcome, so what has left the broker is on the
disk, or is counted as not kept. Whether it is kept changes nothing of the outcome.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Final

import msgspec

from geoweir.core.kept import KEPT_OUTCOMES, Drop
from geoweir.core.outcome import REASON_CODES, Outcome
from geoweir.core.parcel import Parcel
from geoweir.core.work import MessageKind, OutMessage
from geoweir.ports import StateStore

__all__ = ["Keeping"]

#: A rejected message has at most 4 KB of payload; what is longer is looked into for no detail.
_LONGEST_MESSAGE: Final = 65_536


class _Told(msgspec.Struct):
    """What a rejected message says of the reason."""

    detail: str = ""


_TOLD: Final = msgspec.json.Decoder(_Told)


class Keeping:
    """Hands dropped inputs to the store.

    Args:
        store: where they are kept.
        outcomes: which dropped inputs are kept.
        earlier: how often the input at an index of a parcel was dropped before.
        wall: Unix seconds.
    """

    def __init__(
        self,
        *,
        store: StateStore,
        outcomes: Iterable[Outcome],
        earlier: Callable[[Parcel, int], int],
        wall: Callable[[], float],
    ) -> None:
        self._store = store
        self._outcomes = frozenset(outcomes) & frozenset(KEPT_OUTCOMES)
        self._earlier = earlier
        self._wall = wall

    async def keep(
        self,
        parcel: Parcel,
        groups: Mapping[int, Sequence[int]],
        messages: Sequence[OutMessage],
        details: Mapping[int, str],
    ) -> None:
        """Keeps the dropped inputs among ``groups``; returns when they are durable, or given up.

        Args:
            parcel: the inputs; those that were voided come again and are not kept.
            groups: the indices of each outcome code.
            messages: of which the rejected ones tell their inputs' detail.
            details: of the others, by their index; -1 for what they share.
        """
        dropped = [
            (index, *REASON_CODES[code])
            for code, indices in groups.items()
            if REASON_CODES[code][0] in self._outcomes
            for index in indices
            if parcel.open[index]
        ]
        if not dropped:
            return
        told = {m.input: m.payload for m in messages if m.kind is MessageKind.REJECTED}
        now = self._wall()
        await self._store.keep(
            [
                Drop(
                    stream=parcel.ledger.stream,
                    topic=parcel.addresses[index],
                    payload=parcel.payloads[index],
                    headers=parcel.headers[index],
                    received=parcel.received[index],
                    dropped=now,
                    outcome=outcome,
                    reason=reason,
                    detail=details.get(index) or _detail(told.get(index)) or details.get(-1, ""),
                    earlier=self._earlier(parcel, index),
                )
                for index, outcome, reason in dropped
            ]
        )


def _detail(message: bytes | None) -> str:
    if message is None or len(message) > _LONGEST_MESSAGE:
        return ""
    try:
        return _TOLD.decode(message).detail
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return ""  # a worker wrote it, and workers are not trusted
