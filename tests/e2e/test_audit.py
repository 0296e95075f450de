"""``geoweir audit``: what it sees from outside beside what the service says."""

from __future__ import annotations

from pathlib import Path

from support.auditing import audited
from support.eventually import eventually
from support.mosquitto import free_port
from support.outside import point
from support.running import run_service
from support.service import command

CONFIG = {
    "http": {"listen": f"127.0.0.1:{free_port()}"},
    "streams": {
        "s": {
            "subscribe": "in/#",
            "fields": {"sequence": "properties.seq"},
            "steps": [{"python": "mischief:obey"}],
        }
    },
}


def test_retried_and_missing_inputs_are_told_apart_from_those_that_were_seen(
    tmp_path: Path,
) -> None:
    with run_service(tmp_path, CONFIG) as running:
        service = running.service
        running.sender.send((f"in/bad{n}", b"no json") for n in range(5))
        running.sender.send((f"in/{n}", point("d", seq=n)) for n in range(10))
        service.wait_settled(15)
        with audited(service) as audit:
            numbers = [
                *range(10, 20),
                *range(23, 150),
            ]  # a gap is one when so much has come after it
            running.sender.send((f"in/{n}", point("d", seq=n)) for n in numbers)
            running.sender.send([("in/drop", point("e", do="drop"))])
            done = command(
                "reconcile", "retry", "--all", "-c", str(service.file), folder=service.folder
            )
            assert done.returncode == 0, done.stderr
            service.wait_settled(15 + 138 + 5)
            eventually(lambda: service.stream("s")["missing"] == 3)
            report = audit.end()
    seen, reported = (report["streams"]["s"][side] for side in ("seen", "reported"))
    assert (seen["inputs"], seen["results"]) == (138, 137)
    assert reported["received"] == 138 + 5
    assert reported["retried"] == 5
    assert reported["missing"] == 3
    assert (reported["published"], reported["filtered"]) == (137, 1)
    # Rejected again, and told again: the same keys as before, which this audit had not seen.
    assert (reported["rejected"], seen["rejected"]) == (5, 5)
    assert report["unaccounted"] == 0
