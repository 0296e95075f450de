"""One fault scenario: a broker, the service, senders, a consumer, and the account from outside.

A scenario feeds inputs of every outcome while its fault is at work, heals, and calls ``finish``:
that drains, lets ``geoweir audit`` watch a last stretch, ends the service in order, looks what the
broker still holds for it, and classifies every input from what a stranger saw.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from support.auditing import audited
from support.brokers import Broker, needs_mosquitto, open_mosquitto
from support.classify import Book, Verdict
from support.eventually import eventually
from support.mischief import write_mischief
from support.mosquitto import free_port
from support.outside import Listener, Sender, point
from support.proxy import Proxy, proxy_to
from support.service import Geoweir

__all__ = ["ROWS", "TABLES", "Scene", "full", "merged", "open_scene", "size"]

#: What each scenario found, for the table at the end of the run.
ROWS: list[dict[str, Any]] = []
#: Further tables, as lines.
TABLES: list[list[str]] = []
#: Inputs in a hundred that end so; the others are published.
_MIX: Mapping[str, int] = {"filtered": 4, "rejected": 4}
_CODA = 200
_LOST_S = 10.0
_END = "the-last-one"


def full() -> bool:
    """Whether the scenarios run at full size (``make faults``)."""
    return os.environ.get("GEOWEIR_FAULTS") == "full"


def size(small: int, large: int) -> int:
    """A number by the size of the run."""
    return large if full() else small


def merged(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """A configuration with parts of another in it."""
    result = dict(base)
    for key, value in over.items():
        both = isinstance(value, Mapping) and isinstance(result.get(key), Mapping)
        result[key] = merged(result[key], value) if both else value
    return result


def configuration(broker: Broker, port: int) -> dict[str, Any]:
    steps = [{"python": "mischief:slow"}, {"python": "mischief:obey"}]
    return {
        "mqtt": {"url": f"mqtt://{broker.host}:{port}", "protocol": broker.protocol},
        "streams": {"s": {"subscribe": "in/#", "steps": steps}},
        "pool": {"workers": 2, "chunk": 64, "timeout": "2s"},
        "shutdown_grace": "5s",
    }


def payload(name: str, due: str, also: Mapping[str, Any]) -> bytes:
    match due:
        case "rejected" if "polygon" in also:
            return _polygon(name, also["polygon"])
        case "rejected":
            return b"no json: " + name.encode() + bytes(also.get("junk", 0))
        case "filtered":
            return point(name, do="drop")
        case _:
            return point(name, also=also)


def _polygon(name: str, vertices: int) -> bytes:
    ring = [[n / vertices, n % 2] for n in range(vertices)]
    geometry = {"type": "Polygon", "coordinates": [[*ring, ring[0]]]}
    return json.dumps(
        {"type": "Feature", "id": name, "geometry": geometry, "properties": {}}
    ).encode()


@dataclass
class Scene:
    """What runs, and what was sent."""

    name: str
    broker: Broker
    proxy: Proxy
    service: Geoweir
    listener: Listener
    sender: Sender
    book: Book
    config: Mapping[str, Any]
    sent: dict[str, str] = field(default_factory=dict)  # the outcome due, "" where any will do
    recovery_s: float = 0.0
    faults: int = 0
    asked: int = 0
    unbalanced: list[Any] = field(default_factory=list)
    began: float = field(default_factory=time.monotonic)
    _numbers: Iterator[int] = field(default_factory=itertools.count)

    # Feeding.

    def inputs(
        self, count: int, mischief: Callable[[int], tuple[str, Mapping[str, Any]]] | None = None
    ) -> Iterator[tuple[str, bytes]]:
        """Fresh inputs of every outcome; ``mischief`` gives (outcome due, more properties)."""
        rejected_from = 100 - _MIX["rejected"]
        for number in itertools.islice(self._numbers, count):
            place = number % 100
            due: str = "published"
            also: Mapping[str, Any] = {}
            if place >= rejected_from:
                due = "rejected"
            elif place >= rejected_from - _MIX["filtered"]:
                due = "filtered"
            elif mischief is not None:
                due, also = mischief(number)
            name = f"i{number}"
            self.sent[name] = due
            yield f"in/{name}", payload(name, due, also)

    def send(self, count: int, **more: Any) -> None:
        """Sends inputs at once; returns when the broker has them."""
        self.sender.send(self.inputs(count, **more), seconds=size(60, 300))

    @contextlib.contextmanager
    def feeding(self, count: int, seconds: float, **more: Any) -> Iterator[None]:
        """Sends inputs evenly over a time while the body runs; then the broker has them all."""

        def feed() -> None:
            start = time.monotonic()
            for number, one in enumerate(self.inputs(count, **more)):
                time.sleep(max(0.0, start + number * seconds / count - time.monotonic()))
                self.sender.post([one])

        thread = threading.Thread(target=feed, name="feeder")
        thread.start()
        try:
            yield
        finally:
            thread.join()
        self.sender.send([], seconds=size(60, 300))

    # Waiting.

    def results(self) -> int:
        """How many messages of outcomes came so far."""
        self.book.update()
        return self.book.taken

    def wait_results(self, more: int, seconds: float = 60) -> None:
        """Waits for so many outcomes beyond those that are there now."""
        due = self.results() + more
        eventually(lambda: self.results() >= due, seconds, self.explain)

    @contextlib.contextmanager
    def recovery(self, seconds: float = 60) -> Iterator[None]:
        """Notes how long it takes from here, where it heals, until an outcome is heard again.

        A few inputs are sent here, so that there is something to hear of.
        """
        start, before = time.monotonic(), self.results()
        self.sender.post(self.inputs(10))
        yield
        eventually(lambda: self.results() > before, seconds, self.explain)
        self.recovery_s = max(self.recovery_s, time.monotonic() - start)
        self.faults += 1

    def explain(self) -> object:
        """What to read when it goes wrong."""
        missing = self.missing()
        with contextlib.suppress(OSError):
            return len(missing), sorted(missing)[:5], self.service.account()
        return len(missing), sorted(missing)[:5], self.service.log()[-3000:]

    def missing(self, but: Iterable[str] = ()) -> set[str]:
        """Inputs that nothing was heard of, though something should be."""
        silent = self.book.silent(self.sent) - set(but)
        return {name for name in silent if self.sent[name] != "filtered"}

    def drain(self, seconds: float | None = None, but: Iterable[str] = ()) -> None:
        """Waits until every input has its outcome."""
        but = set(but)
        results, since = self.results(), time.monotonic()

        def is_done() -> bool:
            nonlocal results, since
            if not self.missing(but):
                return True
            if (now := self.results()) != results or self.in_flight():
                results, since = now, time.monotonic()
            # Nothing in hand, nothing comes: what is missing is lost.
            assert time.monotonic() - since < _LOST_S, self.explain()
            return False

        eventually(is_done, seconds or size(120, 900), self.explain)
        eventually(lambda: self.in_flight() == 0, 30, self.explain)

    def in_flight(self) -> int:
        """Inputs without an outcome, as the service says."""
        return int(self.service.stream("s")["in_flight"])

    # The end.

    def finish(
        self,
        *,
        lost_by_broker: Callable[[set[str]], None] | None = None,
        named_elsewhere: Iterable[str] = (),
        others: Iterable[Geoweir] = (),
        may_be_reconciled: bool = False,
        drain_s: float | None = None,
        what: str = "",
    ) -> Verdict:
        """Drains, audits, ends the service, and judges; see the module.

        Args:
            lost_by_broker: judges inputs that are lost; without it there may be none.
            named_elsewhere: inputs reconciled by name where no topic could say it.
            others: further services that end with it.
            may_be_reconciled: any input may be, for the company that it was in.
            drain_s: how long it may take until each input was heard of.
            what: what was done, for the table.
        """
        named = set(named_elsewhere)
        if lost_by_broker is None:
            self.drain(drain_s, but=named)
        else:
            self._drain_what_comes()
        left = set[str]().union(*map(self._end, others))
        self._check_audit()
        account = self.service.account()
        left |= self._end(self.service)
        verdict = self.book.verdict(self.sent, at_broker=left, named_elsewhere=named)
        self._report(verdict, what)
        assert not self.unbalanced, self.unbalanced[:3]
        assert self.asked
        assert account["unaccounted"] == 0, account
        assert not verdict.doubles, dict(list(verdict.doubles.items())[:5])
        assert not verdict.strangers - {_END}, sorted(verdict.strangers)[:5]
        assert not verdict.classes["at broker"], sorted(verdict.classes["at broker"])[:5]
        lost = verdict.classes["lost"]
        if lost_by_broker is None:
            assert not lost, (len(lost), sorted(lost)[:5])
            company = verdict.classes["reconciled"] if may_be_reconciled else set()
            unlike = {name: how for name, how in verdict.unlike.items() if name not in company}
            assert not unlike, dict(list(unlike.items())[:5])
        else:
            lost_by_broker(lost)
        return verdict

    def _drain_what_comes(self) -> None:
        """Waits until nothing has come for two seconds and nothing is in flight."""
        quiet_since, before = time.monotonic(), self.results()
        deadline = time.monotonic() + size(60, 600)
        while time.monotonic() - quiet_since < 2 or self.in_flight():
            assert time.monotonic() < deadline, self.explain()
            time.sleep(0.1)
            if (now := self.results()) != before:
                quiet_since, before = time.monotonic(), now

    def _check_audit(self) -> None:
        """``geoweir audit`` sees of a last stretch what the service says of it."""
        with audited(self.service) as audit:
            before = self.service.stream("s")
            sent = dict.fromkeys(self.sent)
            self.send(_CODA)
            self.drain(but=sent)
            last = [due for name, due in self.sent.items() if name not in sent]
            after = self.service.stream("s")
            report = audit.end()
        assert report["unaccounted"] == 0
        seen, reported = (report["streams"]["s"][side] for side in ("seen", "reported"))
        due = {o: last.count(o) for o in ("published", "filtered", "rejected")}
        assert {o: reported[o] for o in due} == due, (reported, due)
        assert reported["received"] == len(last) == seen["inputs"], report
        assert (seen["results"], seen["rejected"]) == (due["published"], due["rejected"]), report
        assert seen["reconciled"] == reported["reconciled"] == reported["in_flight"] == 0, report
        for outcome, count in due.items():
            assert after[outcome] - before[outcome] == count, (before, after)

    def _end(self, service: Geoweir) -> set[str]:
        """Ends a service in order; what the broker still holds for it."""
        assert service.account()["unaccounted"] == 0
        assert service.stop() == 0
        client = json.loads(service.file.read_text())["mqtt"].get("client_id", "geoweir")
        return self._left_at_broker(f"{client}-s")

    def _left_at_broker(self, client_id: str) -> set[str]:
        """What the broker still holds in a session of a service that has ended."""
        with Listener(self.broker, client_id=client_id, keeps_filters=True) as session:
            self.sender.send([(f"in/{_END}", b"")])
            # In a shared subscription the last one may go to another member.
            shared = self.config["streams"]["s"]["subscribe"]
            is_shared = shared.startswith("$share/")

            def names() -> list[str]:
                return [message.topic.rpartition("/")[2] for message in list(session.heard)]

            with contextlib.suppress(*[AssertionError] if is_shared else []):
                eventually(lambda: _END in names(), 1 if is_shared else 20)
            if is_shared:
                session.client.unsubscribe(shared)
        return {name for name in names() if name != _END}

    def _report(self, verdict: Verdict, what: str) -> None:
        row = {
            "fault": self.name,
            "what": what,
            "ids": len(self.sent),
            **verdict.counts(),
            "faults": self.faults,
            "recovery_s": self.recovery_s,
            "seconds": time.monotonic() - self.began,
        }
        ROWS.append(row)
        if path := os.environ.get("GEOWEIR_FAULTS_REPORT"):
            with Path(path).open("a", encoding="utf-8") as file:
                file.write(json.dumps(row) + "\n")


@contextlib.contextmanager
def _watched(scene: Scene) -> Iterator[None]:
    """Asks for the account all the while: nothing is ever unaccounted."""
    done = threading.Event()

    def ask() -> None:
        while not done.wait(0.05):
            with contextlib.suppress(OSError, ValueError):  # it is away just now
                account = scene.service.account()
                scene.asked += 1
                if account["unaccounted"]:
                    scene.unbalanced.append(account)

    thread = threading.Thread(target=ask, name="account")
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join(20)


@contextlib.contextmanager
def open_scene(
    name: str,
    folder: Path,
    config: Mapping[str, Any] | None = None,
    *,
    extra: str = "",
    broker: Broker | None = None,
    environment: Mapping[str, str] | None = None,
    starts: bool = True,
) -> Iterator[Scene]:
    """Everything for one scenario: the service reaches the broker through a proxy.

    Args:
        name: for the table, beginning with the fault's letter.
        folder: for every file.
        config: what differs in the service's configuration.
        extra: lines of the broker's configuration.
        broker: an other one than the usual mosquitto.
        environment: for the service's process.
        starts: whether the service runs from the beginning.
    """
    needs_mosquitto()
    write_mischief(folder)
    with contextlib.ExitStack() as stack:
        opened = broker or stack.enter_context(open_mosquitto(folder / "broker", extra=extra))
        proxy = stack.enter_context(proxy_to(opened.port))
        port = opened.port if broker else proxy.port
        listening = {"http": {"listen": f"127.0.0.1:{free_port()}"}}
        whole = merged(configuration(opened, port) | listening, config or {})
        listener = stack.enter_context(Listener(opened))
        sender = stack.enter_context(Sender(opened))
        service = Geoweir(whole, folder, environment=environment)
        if starts:
            stack.enter_context(service)
        else:
            stack.push(service)
        scene = Scene(name, opened, proxy, service, listener, sender, Book(listener.heard), whole)
        stack.enter_context(_watched(scene))
        yield scene
