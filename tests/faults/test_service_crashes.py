"""An input that kills the service itself: found within three deaths, and never read again."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Iterator
from pathlib import Path

from support.accounting import read
from support.brokers import Broker
from support.eventually import eventually
from support.outside import Listener, Sender, point
from support.service import Geoweir

#: In the place of a fault in a parser: the service dies by what it lets in.
DEADLY = """\
import os, signal, sys
if "serve" in sys.orig_argv:
    from geoweir.stages.intake import Intake
    let_in = Intake._let_in
    async def deadly(self, parcel):
        if any(b"deadly" in payload for payload in parcel.payloads):
            os.kill(os.getpid(), signal.SIGKILL)
        await let_in(self, parcel)
    Intake._let_in = deadly
"""


@contextlib.contextmanager
def closing(service: Geoweir) -> Iterator[None]:
    try:
        yield
    finally:
        service.kill()


def lives_on(service: Geoweir, seconds: float = 4.0) -> bool:
    """Starts the service; whether it is still there after a while."""
    service.launch()
    until = time.monotonic() + 30
    while service.is_running() and "geoweir is ready" not in service.output():
        if time.monotonic() > until:
            return False
        time.sleep(0.05)
    until = time.monotonic() + seconds
    while service.is_running() and time.monotonic() < until:
        time.sleep(0.05)
    return service.is_running()


def test_t06_an_input_that_kills_the_service_is_reconciled_after_at_most_three_deaths(
    broker: Broker, tmp_path: Path
) -> None:
    count = 300
    (tmp_path / "sitecustomize.py").write_text(DEADLY, encoding="utf-8")
    path = os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")])
    config = {
        "mqtt": {"url": broker.url, "protocol": broker.protocol},
        "streams": {"s": {"subscribe": "in/#"}, "other": {"subscribe": "more/#"}},
        "state": {"path": "state.db"},
    }
    deadly = f"in/{count // 2}"
    service = Geoweir(config, tmp_path, environment={"PYTHONPATH": path})
    with Listener(broker) as listener, Sender(broker) as sender, closing(service):
        assert lives_on(service, 1.0)
        sender.post((f"in/{n}", point("deadly" if n == count // 2 else n)) for n in range(count))
        sender.post((f"more/{n}", point(n)) for n in range(20))
        eventually(lambda: not service.is_running(), 30)
        deaths = 1
        while not lives_on(service):
            deaths += 1
            assert deaths <= 3
        assert deaths == 3
        service.url = service.output().split("ready: ")[1].split()[0].rstrip("/")
        eventually(lambda: len(read(listener.heard, "s").published) == count - 1, 60)
        eventually(lambda: len(read(listener.heard, "other").published) == 20, 60)
        dropped = [m.body for m in listener.on("geoweir/reconcile/s")]
        assert [(one["reason"], one["inputs"][0]["topic"]) for one in dropped] == [
            ("crash", deadly)
        ]
        eventually(lambda: service.stream("s")["in_flight"] == 0)
        assert service.account()["unaccounted"] == 0
        # And never again: not after a restart, nor when it is sent anew.
        assert service.stop() == 0
        sender.send([(deadly, point("deadly"))])
        assert lives_on(service)
