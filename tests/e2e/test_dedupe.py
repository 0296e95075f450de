"""``dedupe: WINDOW``: equal inputs within it are filtered, and nothing else is."""

from __future__ import annotations

from pathlib import Path

import pytest

from support.accounting import check_account, read
from support.brokers import Broker
from support.eventually import eventually
from support.mischief import write_mischief
from support.outside import Listener, Sender, point
from support.running import run_service
from support.service import Geoweir


def test_equal_inputs_within_the_window_are_filtered_as_repeats(tmp_path: Path) -> None:
    config = {
        "streams": {
            "s": {"subscribe": "in/#", "dedupe": "2s", "steps": [{"python": "mischief:obey"}]},
            "all": {"subscribe": "in/#"},
        }
    }
    with run_service(tmp_path, config) as running:
        same, other = point("a"), point("a", n=1)
        running.sender.send([("in/1", same), ("in/1", same), ("in/2", same), ("in/1", other)])
        running.sender.send([("in/1", same), ("in/k", point("k", do="kill"))])
        running.service.wait_settled(12)
        assert running.reasons("s", "filtered") == {"repeat": 2}
        assert running.service.stream("all")["published"] == 6
        # What was dropped is no repeat when it comes again, and the window ends.
        running.sender.send([("in/k", point("k", do="kill"))])
        running.service.wait_settled(14)
        assert running.service.stream("s")["reconciled"] == 2
        deadline = eventually(lambda: _passes(running.sender, running.service, same))
        assert deadline
        assert running.service.account()["unaccounted"] == 0


def _passes(sender: Sender, service: Geoweir, payload: bytes) -> bool:
    """Whether one more of the same is published."""
    before = service.stream("s")
    sender.send([("in/1", payload)])
    now = eventually(
        lambda: found if (found := service.stream("s"))["received"] > before["received"] else None
    )
    assert now is not None
    eventually(lambda: service.stream("s")["in_flight"] == 0)
    return bool(service.stream("s")["published"] > before["published"])


@pytest.mark.parametrize("how", ["cut", "kill"])
def test_a_lost_connection_makes_no_input_a_repeat_that_has_no_outcome(
    broker: Broker, tmp_path: Path, how: str
) -> None:
    if broker.process is None:
        pytest.skip("needs a broker that can be ended")
    write_mischief(tmp_path)
    count = 1500
    config = {
        "mqtt": {"url": broker.url, "protocol": broker.protocol},
        "streams": {
            "s": {
                "subscribe": "in/#",
                "dedupe": "10m",
                "steps": [{"python": "mischief:slow_chunks"}],
            }
        },
        "pool": {"workers": 1, "chunk": 16},
    }
    with (
        Listener(broker) as listener,
        Sender(broker) as sender,
        Geoweir(config, tmp_path) as service,
    ):
        sender.send((f"in/{n}", point(n)) for n in range(count))
        eventually(lambda: len(listener.on("geoweir/s/")) > 100)
        if how == "kill":
            service.kill()
            service.start()
        else:
            broker.mosquitto.end()
            broker.mosquitto.start()
        eventually(lambda: len(read(listener.heard, "s").published) == count, 60, service.account)
        eventually(lambda: service.stream("s")["in_flight"] == 0)
        read(listener.heard, "s").each_once([str(n) for n in range(count)])
        account = service.account()
        check_account(account, rejected=0, reconciled=0)
        sender.send((f"in/{n}", point(n)) for n in range(count))
        eventually(lambda: service.stream("s")["filtered"] >= count // 2)
