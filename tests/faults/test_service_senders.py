"""Senders that say they are another: the broker's access list and id_must_match, together."""

from __future__ import annotations

from pathlib import Path

from support.accounting import check_account, read
from support.brokers import needs_mosquitto, open_mosquitto
from support.outside import Listener, Sender, point
from support.service import Geoweir

_ACCESS = """\
topic readwrite geoweir/#
topic read in/#
pattern write in/%c
"""


def test_t33_a_device_can_send_only_as_itself(tmp_path: Path) -> None:
    needs_mosquitto()
    (tmp_path / "acl").write_text(_ACCESS, encoding="utf-8")
    with open_mosquitto(tmp_path / "broker", extra=f"acl_file {tmp_path}/acl\n") as broker:
        config = {
            "mqtt": {"url": broker.url, "protocol": broker.protocol},
            "streams": {
                "s": {
                    "subscribe": "in/+",
                    "id_must_match": "{topic[1]}",
                    "prefilter": {"min_interval": "1h"},
                }
            },
            "pool": {"workers": 1},
        }
        with (
            Listener(broker) as listener,
            Sender(broker, client_id="good") as good,
            Sender(broker, client_id="evil") as evil,
            Geoweir(config, tmp_path) as service,
        ):
            evil.send([("in/good", point("good")), ("in/evil", point("good"))])
            service.wait_settled(1)
            good.send([("in/good", point("good"))])  # its interval was not used up for it
            account = service.wait_settled(2)
            listener.wait(1, "geoweir/s/")
            seen = read(listener.heard, "s")
            assert dict(seen.rejected) == {"good": ["identity"]}
            assert list(seen.published) == ["good"]
            check_account(account, published=1, rejected=1, filtered=0)
