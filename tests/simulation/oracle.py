"""The view from outside: judges what the broker sees, at each packet and at the end."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable

from simulation.clockwork import World
from simulation.inputs import Input, Plan

__all__ = ["Broken", "Oracle"]

_ALLOWED = {
    Plan.GOOD: {"result", "reconcile"},  # reconciled where its worker died of something else
    Plan.BAD: {"rejected", "reconcile"},
    Plan.EMPTY: {"rejected"},
    Plan.DROP: {"reconcile"},
    Plan.CLOSED: {"rejected", "reconcile"},
    Plan.CRASH: {"reconcile"},
    Plan.HANG: {"reconcile"},
}
_DROPPED = {"rejected", "reconcile"}


class Broken(AssertionError):  # noqa: N818 - what a run ends with
    """A promise was broken."""


class Oracle:
    """Knows every input, and holds the service to its word.

    Args:
        durable: topics of inputs that the simulated disk would bring back now, or that the store
            said it could not keep.
        is_spilled: whether the simulated disk would bring an input back to be worked on now.
    """

    def __init__(
        self,
        world: World,
        inputs: Iterable[Input],
        durable: set[str],
        is_spilled: Callable[[str], bool],
    ) -> None:
        self._world = world
        self._by_topic = {one.topic: one for one in inputs}
        self._durable = durable
        self._is_spilled = is_spilled
        self.retries = 0  # how often kept inputs were sent through again
        self.is_lossy = False  # a line was half open, and may be to the end
        self._last: dict[str, int] = {}  # the greatest number with a result, per stream

    # What the broker tells.

    def delivered(self, topic: str, *, is_certain: bool = True) -> None:
        """The broker sends an input to the service."""
        one = self._by_topic[topic]
        one.deliveries += 1
        one.is_certain = is_certain

    def published(self, topic: str, payload: bytes, key: str, *, refused: bool) -> None:
        """The broker answers a message of the service's."""
        head = topic.partition("/")[0]
        if head not in {"result", "rejected", "reconcile"} or not payload:
            return
        said = json.loads(payload)
        for one in said["inputs"] if head == "reconcile" else [said]:
            self._outcome(self._by_topic[one["topic"]], head, key, refused=refused)

    def acknowledged(self, topic: str) -> None:
        """The service's PUBACK of an input reached the broker."""
        one = self._by_topic[topic]
        one.is_acknowledged = True
        if self._is_spilled(topic):
            return
        if not one.outcomes and one.plan is not Plan.DROP:
            raise Broken(f"{topic} was acknowledged before anything said what became of it")
        if one.plan is Plan.DROP:
            return  # what was reconciled of it in an earlier life may be filtered in this one
        if one.outcomes.keys() <= _DROPPED and topic not in self._durable:
            raise Broken(f"{topic} was acknowledged before it was kept")

    def brought_back(self, topic: str) -> None:
        """The service works on an input that it had spilled."""
        self._by_topic[topic].returns += 1

    def lost(self, topics: Iterable[str]) -> None:
        """The broker lost inputs by itself."""
        for topic in topics:
            self._by_topic[topic].is_lost = True

    def cut(self, stream: str = "") -> None:
        """A stream's connection ended, or everything did: what was at QoS 0 may be lost."""
        for one in self._by_topic.values():
            if not one.is_certain and not one.outcomes and stream in {"", one.stream}:
                one.is_lost = True

    # Judgement.

    def _outcome(self, one: Input, kind: str, key: str, *, refused: bool) -> None:
        if refused:
            self._world.note(f"refused {kind} of {one.topic}")
            if kind == "result":
                return  # its input is to be rejected instead
        if kind not in _ALLOWED[one.plan]:
            raise Broken(f"{one.topic} is {one.plan} and came out as {kind}")
        is_first = kind not in one.outcomes
        keys = one.outcomes.setdefault(kind, [])
        if key not in keys:
            keys.append(key)
        distinct = sum(map(len, one.outcomes.values()))
        if distinct > one.deliveries + one.returns + self.retries:
            raise Broken(f"{one.topic} has {one.outcomes} after {one.deliveries} deliveries")
        if kind != "reconcile" and len(keys) > 1:
            raise Broken(f"{one.topic} came out as {kind} with several keys: {keys}")
        # What the broker lost and brings back out of a snapshot comes in the broker's disorder.
        is_orderly = not one.is_lost and not one.outcomes.keys() & _DROPPED
        if kind == "result" and is_first and is_orderly:
            self._in_order(one)

    def _in_order(self, one: Input) -> None:
        last = self._last.get(one.stream, -1)
        if one.number < last:
            raise Broken(f"{one.topic} came out after {last} of its stream")
        self._last[one.stream] = one.number

    def _finish_uncertain(self, one: Input) -> None:
        """What came at QoS 0 is lost with a connection or a life only; it never comes twice."""
        if one.is_acknowledged:
            raise Broken(f"{one.topic} was acknowledged, and came at QoS 0")
        if one.outcomes or one.plan is Plan.DROP or one.is_lost or self.is_lossy:
            return
        raise Broken(f"{one.topic} has no outcome, and nothing was cut: {one}")

    def finish(self) -> None:
        """After everything has healed and drained."""
        for one in self._by_topic.values():
            if one.is_lost and not one.deliveries:
                continue
            if not one.is_certain:
                self._finish_uncertain(one)
                continue
            if not one.is_acknowledged and not one.is_lost:
                raise Broken(f"{one.topic} was never settled: {one}")
            if not one.outcomes and one.plan is not Plan.DROP and not one.is_lost:
                raise Broken(f"{one.topic} has no outcome: {one}")
