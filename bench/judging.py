"""What came back, looked at message by message: each input one result, and the right one."""

from __future__ import annotations

import json
import re
from array import array
from pathlib import Path
from typing import Any, Final, Literal

import numpy as np
import numpy.typing as npt
import orjson

from packets import FIRST
from topics import UNPUBLISHED
from wire import messages

__all__ = ["Check", "Judge"]

#: What the results' attribute is compared with: nothing, the join with all areas, or one fence.
Check = Literal["none", "join", "fence"]

_NUMBER: Final = re.compile(rb'"seq":\s*(\d+)')
_RECONCILE: Final = UNPUBLISHED[1].encode()


class Judge:
    """Takes reads of the sink and counts what they hold.

    Args:
        folder: of the workload.
        first: number of the phase's first message.
        count: how many were sent.
        check: what the results have to say.
        outlet: prefix of the results' topics.
        has_keys: whether to look for results with the key of another one; it remembers all keys.

    Attributes:
        times: monotonic time of each input's first result, nan where there is none.
        results: inputs with a result.
        repeated: results beyond the first of an input.
        foreign: messages that are no result of this phase.
        wrong: results whose attribute differs from a direct computation.
        same_key: results with the key of another one.
        reconciled: inputs that geoweir says it has reconciled.
    """

    def __init__(
        self, folder: Path, *, first: int, count: int, check: Check, outlet: str, has_keys: bool
    ) -> None:
        self._first, self._count = first, count
        self._expected = _expected(folder, check)
        self._outlet = outlet.encode()
        self._keys: set[str] | None = set() if has_keys else None
        self._times = array("d", [float("nan")]) * count
        self._is_seen = bytearray(count)
        self._unpublished: set[int] = set()
        self.results = self.repeated = self.foreign = self.wrong = self.same_key = 0

    @property
    def times(self) -> npt.NDArray[np.float64]:
        return np.frombuffer(self._times)

    @property
    def reconciled(self) -> int:
        return len(self._unpublished)

    def take(self, data: bytes, at: float) -> None:
        """Judges whole packets that were read at some time."""
        for topic, payload, stop in messages(data):
            if data.startswith(self._outlet, topic):
                self._result(data[payload:stop], at)
            elif data.startswith(_RECONCILE, topic):
                self._reconciliation(data[payload:stop])
            else:
                self.foreign += 1

    def _result(self, payload: bytes, at: float) -> None:
        found = _NUMBER.search(payload)
        index = self._index(int(found[1])) if found else None
        if index is None:
            self.foreign += 1
        elif self._is_seen[index]:
            self.repeated += 1
        else:
            self._is_seen[index] = 1
            self._times[index] = at
            self.results += 1
            if self._expected is not None:
                self._look_into(payload, index, self._expected)

    def _look_into(self, payload: bytes, index: int, expected: list[list[str | None]]) -> None:
        feature: dict[str, Any] = orjson.loads(payload)
        allowed = expected[(self._first + index) % len(expected)]
        self.wrong += feature["properties"].get("areas_name", "") not in allowed
        if self._keys is not None:
            key = feature.get("geoweir", {}).get("key", str(index))
            self.same_key += key in self._keys
            self._keys.add(key)

    def _reconciliation(self, payload: bytes) -> None:
        """Ids are numbers of messages where the scenario wants to know which ones."""
        for ident in orjson.loads(payload)["ids"]:
            index = self._index(int(ident)) if str(ident).isdecimal() else None
            if index is None or index in self._unpublished:
                self.foreign += 1
            else:
                self._unpublished.add(index)

    def _index(self, number: int) -> int | None:
        index = number - FIRST - self._first
        return index if 0 <= index < self._count else None


def _expected(folder: Path, check: Check) -> list[list[str | None]] | None:
    """For every message of the template what the attribute may be; None where anything goes."""
    if check == "none":
        return None
    joined: list[list[str | None]] = json.loads((folder / "expected.json").read_text("utf-8"))
    if check == "join":
        return joined
    fence: str = json.loads((folder / "fence.json").read_text("utf-8"))["name"]
    return [[fence] if fence in names else [None] for names in joined]
