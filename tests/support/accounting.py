"""The account that a consumer can draw up from outside: what became of each input."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from support.outside import Heard

__all__ = ["Seen", "check_account", "read"]


@dataclass
class Seen:
    """Outcomes by the input's name (its id, unless the reader says otherwise)."""

    published: dict[str, set[str]] = field(default_factory=lambda: defaultdict(set))  # its keys
    rejected: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))  # reasons
    reconciled: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))
    repeats: Counter[str] = field(default_factory=Counter)
    order: list[str] = field(default_factory=list)  # first appearances among the published

    def outcomes(self, name: str) -> list[str]:
        """The outcomes of one input: exactly one, when all is well."""
        return [
            outcome
            for outcome, names in (
                ("published", self.published),
                ("rejected", self.rejected),
                ("reconciled", self.reconciled),
            )
            if name in names
        ]

    def each_once(
        self, sent: Iterable[str], *, filtered: int = 0, rejected_once: bool = True
    ) -> None:
        """Each sent input has exactly one outcome, and nothing else came.

        Args:
            sent: the names of the inputs.
            filtered: how many the account counts as filtered: a consumer sees nothing of them.
            rejected_once: whether no refusal or drop may be told twice.
        """
        names = set(sent)
        known = {*self.published, *self.rejected, *self.reconciled}
        assert known <= names, f"nobody sent {sorted(known - names)[:5]}"
        several = {name: self.outcomes(name) for name in known if len(self.outcomes(name)) > 1}
        assert not several, f"more than one outcome: {dict(list(several.items())[:5])}"
        silent = names - known
        assert len(silent) == filtered, f"{len(silent)} without outcome: {sorted(silent)[:5]}"
        keys = {name: found for name, found in self.published.items() if len(found) > 1}
        assert not keys, f"several keys of one input: {dict(list(keys.items())[:3])}"
        if rejected_once:
            told = {n: r for n, r in (self.rejected | self.reconciled).items() if len(r) > 1}
            assert not told, f"told more than once: {dict(list(told.items())[:3])}"


def by_id(body: Mapping[str, Any]) -> str:
    return str(body["id"])


def read(
    heard: Iterable[Heard], stream: str, *, name: Callable[[Mapping[str, Any]], str] = by_id
) -> Seen:
    """Sorts a consumer's messages of one stream into outcomes.

    Args:
        heard: what the consumer heard.
        stream: the stream's name.
        name: which input a result belongs to; rejected and reconciled ones are known by id.
    """
    seen = Seen()
    for message in heard:
        if message.topic.startswith(f"geoweir/{stream}/"):
            body = message.body
            for result in body.get("features", [body]):
                which, key = name(result), result["geoweir"]["key"]
                if which not in seen.published:
                    seen.order.append(which)
                if key in seen.published[which]:
                    seen.repeats[which] += 1
                seen.published[which].add(key)
        elif message.topic == f"geoweir/rejected/{stream}":
            body = message.body
            seen.rejected[str(body.get("id"))].append(body["reason"])
        elif message.topic == f"geoweir/reconcile/{stream}":
            body = message.body
            for ident in body["ids"]:
                seen.reconciled[str(ident)].append(body["reason"])
    return seen


def check_account(account: Mapping[str, Any], **expected: int) -> None:
    """The account of a service with one stream is balanced, and says what is expected."""
    assert account["unaccounted"] == 0, account
    (stream,) = account["streams"].values()
    outcomes = ("published", "filtered", "rejected", "reconciled")
    assert stream["received"] == sum(stream[o] for o in outcomes) + stream["in_flight"], account
    found = {outcome: stream[outcome] for outcome in expected}
    assert found == expected, account
