"""The measured settings are the user's, but for the broker and what is tried."""

from __future__ import annotations

from pathlib import Path

from geoweir.demo.broker import EmbeddedBroker
from geoweir.settings.values import Settings
from geoweir.sizing.derived import Derivation, Setting, setting_of
from support.configurations import Folder

OURS = EmbeddedBroker("127.0.0.1", 4711, "mosquitto", "2", "auto")
OLD = EmbeddedBroker("127.0.0.1", 4711, "rumqttd", "0", "3.1.1")


def configured(folder: Path) -> Settings:
    (folder / "token").write_text("hidden-token", encoding="utf-8")
    loaded = Folder(folder).load(
        """
        mqtt:
          url: mqtts://broker.example:8883
          username: someone
          password: hidden-password
          client_id: mine
          receive_window: 77
          ack_order: any
        streams: {a: {subscribe: a/+}, b: {subscribe: b/+}}
        pool: {workers: 3, chunk: 16, memory: 99MB}
        queue: {limit: 5}
        http: {listen: "0.0.0.0:9108", token_file: token}
        shutdown_grace: 10m
        """
    )
    assert loaded.settings is not None, loaded.faults
    return loaded.settings


def test_nothing_of_the_user_s_broker_is_left(tmp_path: Path) -> None:
    settings = configured(tmp_path)
    text = Derivation.make(Setting(1, 64, 9), OURS, "5", ["a"]).text()
    found = Derivation.from_text(text).apply(settings)
    assert (found.mqtt.host, found.mqtt.port, found.mqtt.protocol) == ("127.0.0.1", 4711, "5")
    assert (found.mqtt.username, found.mqtt.password, found.mqtt.tls) == (None, None, None)
    assert found.mqtt.client_id == "geoweir-bench"
    assert (found.http.host, found.http.port, found.http.token) == ("127.0.0.1", 0, None)
    assert found.shutdown_grace_s == 5.0
    assert "hidden" not in text + str(found.mqtt.password) + str(found.http.token)


def test_the_rest_is_the_user_s_but_for_what_is_tried(tmp_path: Path) -> None:
    settings = configured(tmp_path)
    found = Derivation.make(Setting(1, 64, 9), OURS, "auto", ["b"]).apply(settings)
    assert setting_of(settings) == Setting(3, 16, 5)
    assert setting_of(found) == Setting(1, 64, 9)
    assert (found.pool.memory, found.mqtt.receive_window) == (99_000_000, 77)
    assert found.mqtt.ack_order == "any"
    assert [stream.name for stream in found.streams] == ["b"]


def test_a_broker_of_the_old_protocol_is_spoken_to_in_it_and_in_order(tmp_path: Path) -> None:
    found = Derivation.make(Setting(1, 64, 9), OLD, "5", ["a"]).apply(configured(tmp_path))
    assert (found.mqtt.protocol, found.mqtt.ack_order) == ("3.1.1", "received")
