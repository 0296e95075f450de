"""Certificates: a broker that asks for ours, ones that are replaced, and a clock that is wrong."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Self

from support.accounting import check_account, read
from support.brokers import Broker
from support.certificates import Authority, Certificates, open_tls_broker
from support.eventually import eventually
from support.outside import Listener, Sender, point
from support.service import Geoweir

NOW = datetime.now(UTC)
_AT_ONCE = 8


def configuration(broker: Broker, url: str, ca: Path, ours: Certificates) -> dict[str, Any]:
    files = {"ca": str(ca), "cert": str(ours.chain), "key": str(ours.key)}
    return {
        "mqtt": {"url": url, "protocol": broker.protocol, "tls": files},
        "streams": {"s": {"subscribe": "in/#"}},
        "pool": {"workers": 1},
    }


def replace(old: Path, new: Path) -> None:
    """Puts a file in the place of another as a renewal should: by a rename."""
    copy = old.with_suffix(".new")
    shutil.copy(new, copy)
    copy.replace(old)


@contextmanager
def launched(config: dict[str, Any], folder: Path) -> Iterator[Geoweir]:
    """A service that may not be ready for long."""
    service = Geoweir(config, folder).launch()
    try:
        yield service
    finally:
        service.kill()


class Load:
    """Devices that send until they are told to stop."""

    def __init__(self, sender: Sender) -> None:
        self.ids: list[str] = []
        self._sender = sender
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._done.wait(0.02):
            some = [f"i{len(self.ids) + n}" for n in range(_AT_ONCE)]
            self._sender.send((f"in/{ident}", point(ident)) for ident in some)
            self.ids += some


def test_t35_certificates_are_replaced_under_load_and_nothing_is_lost(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    ours = authority.issue("first", name="first")
    second = authority.issue("second", name="second", not_after=NOW + timedelta(days=30))
    server = authority.issue("127.0.0.1", name="server")
    with (
        open_tls_broker(tmp_path / "broker", server) as (broker, url),
        Listener(broker) as listener,
        Sender(broker) as sender,
        Geoweir(configuration(broker, url, authority.file, ours), tmp_path) as service,
    ):
        log = broker.mosquitto.log
        assert "u'first'" in log.read_text()
        with Load(sender) as load:
            service.wait_settled(100)
            # A certificate whose key has not come yet: the one before serves on.
            replace(ours.chain, second.chain)
            eventually(lambda: "certificates-refused" in service.log(), 30, service.log)
            assert service.metric("geoweir_mqtt_reconnects_total") == 0
            replace(ours.key, second.key)
            eventually(lambda: log.read_text().count("u'second'") == 2, 30, service.log)
            service.wait_settled(service.settled() + 100)
        account = service.wait_settled(len(load.ids))
        listener.wait(len(load.ids), "geoweir/s/")
        seen = read(listener.heard, "s")
        seen.each_once(load.ids)
        assert not seen.repeats, "an input was worked twice"
        check_account(account, published=len(load.ids))
        assert service.log().count("certificates-renewed") == 1
        left = service.metric("geoweir_certificate_expiry_seconds", certificate="own")
        assert 29 * 86_400 < left <= 30 * 86_400
        assert service.metric("geoweir_certificate_expiry_seconds", certificate="broker") > 0
        assert service.stop() == 0


def test_t14_a_certificate_that_is_valid_later_is_waited_for_with_a_clear_line(
    tmp_path: Path,
) -> None:
    # To a clock in the past every good certificate looks so.
    authority = Authority(tmp_path)
    ours = authority.issue("ours", name="ours")
    server = authority.issue("127.0.0.1", name="server", not_before=NOW + timedelta(days=1))
    with (
        open_tls_broker(tmp_path / "broker", server) as (broker, url),
        launched(configuration(broker, url, authority.file, ours), tmp_path) as service,
    ):
        eventually(lambda: "not yet valid" in service.log(), 60, service.log)
        said = next(line for line in service.log().splitlines() if "not yet valid" in line)
        assert "this machine's clock says" in said
        broker.mosquitto.end()
        authority.issue("127.0.0.1", name="server")
        broker.mosquitto.start()
        service.wait_ready()
        assert "Traceback" not in service.log()
        assert service.stop() == 0


def test_t35_an_expired_certificate_ends_the_start_with_one_line(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    ours = authority.issue("ours", name="ours")
    server = authority.issue(
        "127.0.0.1", name="server", not_before=NOW - timedelta(days=2), not_after=NOW
    )
    with (
        open_tls_broker(tmp_path / "broker", server) as (broker, url),
        launched(configuration(broker, url, authority.file, ours), tmp_path) as service,
    ):
        assert service.wait(60) == 1
        line = service.log().splitlines()[-1]
        assert "its certificate is not accepted: certificate has expired" in line
        assert "Traceback" not in service.log()
