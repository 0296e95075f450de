"""What a stranger can say of every input, from the topics and the senders' own list alone.

Each input is named by the last level of its topic, ``in/NAME``, which a plain result has as its id.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from support.outside import Heard

__all__ = ["Book", "Verdict"]

OUTCOMES = ("published", "rejected", "reconciled")


@dataclass(frozen=True, slots=True)
class Verdict:
    """Every input in exactly one class, and what came more than once."""

    classes: Mapping[str, set[str]]  # published, filtered, rejected, reconciled, at broker, lost
    repeats: int  # messages with a key that had come before
    doubles: Mapping[str, Sequence[str]]  # inputs with several outcomes or several keys
    strangers: set[str]  # outcomes of what nobody sent
    unlike: Mapping[str, str]  # inputs whose outcome is not the one that the sender expects

    def counts(self) -> dict[str, int]:
        """The number of inputs in each class, and of repeats and doubles."""
        numbers = {name: len(inputs) for name, inputs in self.classes.items()}
        return numbers | {"repeats": self.repeats, "doubles": len(self.doubles)}


@dataclass
class Book:
    """Takes down what a consumer hears, once each message.

    Args:
        heard: the consumer's messages; it may grow, and what is read is taken out.
        stream: the stream's name.
    """

    heard: list[Heard]
    stream: str = "s"
    keys: dict[str, dict[str, set[str]]] = field(  # outcome, then input, then its keys
        default_factory=lambda: {outcome: defaultdict(set) for outcome in OUTCOMES}
    )
    taken: int = 0  # messages of outcomes
    repeats: int = 0
    received: str = ""  # when the service had the input of the last result, as it says

    def update(self) -> None:
        """Reads what came since."""
        fresh = self.heard[:]
        del self.heard[: len(fresh)]  # a soak hears millions
        for message in fresh:
            self._take(message)

    def silent(self, sent: Iterable[str]) -> set[str]:
        """Those of the inputs that nothing was heard of so far."""
        self.update()
        return {name for name in sent if not any(name in self.keys[o] for o in OUTCOMES)}

    def verdict(
        self,
        sent: Mapping[str, str],
        *,
        at_broker: Iterable[str] = (),
        named_elsewhere: Iterable[str] = (),
    ) -> Verdict:
        """Classifies every input.

        Args:
            sent: the outcome that each sender expects of each input.
            at_broker: what the broker still holds for the service.
            named_elsewhere: inputs reconciled by name where no topic could say it.
        """
        silent = self.silent(sent)
        waiting, named = silent & set(at_broker), silent & set(named_elsewhere)
        quiet = silent - waiting - named
        filtered = {name for name in quiet if sent[name] == "filtered"}
        classes = {outcome: set(self.keys[outcome]) & sent.keys() for outcome in OUTCOMES}
        classes["reconciled"] |= named
        classes |= {"filtered": filtered, "at broker": waiting, "lost": quiet - filtered}
        found = {name: outcome for outcome, names in classes.items() for name in names}
        return Verdict(
            classes,
            self.repeats,
            self._doubles(),
            {name for outcome in OUTCOMES for name in self.keys[outcome]} - sent.keys(),
            {n: f"{found[n]}, not {due}" for n, due in sent.items() if due not in ("", found[n])},
        )

    def _doubles(self) -> dict[str, list[str]]:
        all_of: dict[str, list[str]] = defaultdict(list)
        for outcome in OUTCOMES:
            for name, keys in self.keys[outcome].items():
                all_of[name] += [f"{outcome} {key}" for key in sorted(keys)]
        return {name: found for name, found in all_of.items() if len(found) > 1}

    def _take(self, message: Heard) -> None:
        root, _, rest = message.topic.removeprefix("geoweir/").partition("/")
        if root == self.stream:
            outcome, body = "published", json.loads(message.payload)
            self.received = body["geoweir"]["received"]
            self._note(outcome, str(body["id"]), body["geoweir"]["key"])
        elif rest == self.stream and root == "rejected":
            body = json.loads(message.payload)
            self._note(root, _name(body["topic"]), _key(message))
        elif rest == self.stream and root == "reconcile":
            body = json.loads(message.payload)
            for one in body["inputs"]:
                # A second attempt's chunk is another chunk: what is told of the input is the same.
                self._note("reconciled", _name(one["topic"]), body["reason"])

    def _note(self, outcome: str, name: str, key: str) -> None:
        self.taken += 1
        keys = self.keys[outcome][name]
        self.repeats += key in keys
        keys.add(key)


def _name(topic: str) -> str:
    return topic.rpartition("/")[2]


def _key(message: Heard) -> str:
    return dict(message.headers).get("geoweir-key", "")  # MQTT 3.1.1 carries none
