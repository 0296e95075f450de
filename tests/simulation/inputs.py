"""What is sent into a simulation, and what must become of it."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from enum import StrEnum
from random import Random

__all__ = ["Input", "Plan", "make_inputs", "plan_of"]


class Plan(StrEnum):
    """What an input asks of whoever works on it."""

    GOOD = "good"  # one result
    BAD = "bad"  # rejected by the worker
    EMPTY = "empty"  # rejected at the door
    DROP = "drop"  # filtered by the worker
    CLOSED = "closed"  # its result goes where the broker lets nobody publish
    CRASH = "crash"  # kills its worker, always
    HANG = "hang"  # is never answered


_SHARES = {
    Plan.GOOD: 70,
    Plan.BAD: 8,
    Plan.EMPTY: 3,
    Plan.DROP: 8,
    Plan.CLOSED: 4,
    Plan.CRASH: 2,
    Plan.HANG: 1,
}


@dataclass
class Input:
    """One input, by its topic, which no other input has; and what was seen of it from outside.

    Attributes:
        number: counts within the stream, in the order of publishing.
        deliveries: how often the broker sent it to the service.
        returns: how often it came back from the spill.
        outcomes: each kind of outcome message that the broker answered, with its keys.
        is_lost: the broker itself lost it.
        is_certain: it was sent at QoS 1; at 0 it may be lost on its way, and is acknowledged never.
        is_acknowledged: the broker has its PUBACK.
    """

    stream: str
    number: int
    device: str
    plan: Plan
    deliveries: int = 0
    returns: int = 0
    outcomes: dict[str, list[str]] = field(default_factory=dict)
    is_lost: bool = False
    is_certain: bool = True
    is_acknowledged: bool = False

    @property
    def topic(self) -> str:
        """Where it is published."""
        return f"in/{self.stream}/{self.device}/{self.number}"

    def payload(self) -> bytes:
        """A Feature that says its plan."""
        if self.plan is Plan.EMPTY:
            return b""
        feature = {"type": "Feature", "id": self.device, "geometry": None}
        return json.dumps(feature | {"properties": {"plan": self.plan, "n": self.number}}).encode()


def plan_of(payload: bytes) -> Plan:
    """The plan in a payload."""
    return Plan(json.loads(payload)["properties"]["plan"])


def make_inputs(rng: Random, streams: list[str], count: int) -> list[Input]:
    """Inputs in the order in which they are published."""
    numbers = dict.fromkeys(streams, 0)
    made = []
    plans, shares = list(_SHARES), list(_SHARES.values())
    for _ in range(count):
        stream = rng.choice(streams)
        (plan,) = rng.choices(plans, shares)
        device = "closed" if plan is Plan.CLOSED else f"d{rng.randrange(4)}"
        made.append(Input(stream, numbers[stream], device, plan))
        numbers[stream] += 1
    return made
