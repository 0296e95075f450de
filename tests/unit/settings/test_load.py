import gzip
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from geoweir.core.spec import (
    Fields,
    LayerSpec,
    Limits,
    PoolSpec,
    PrefilterSpec,
    StepSpec,
    StreamSpec,
    TopicSpec,
)
from geoweir.settings.load import load
from geoweir.settings.values import (
    HttpSettings,
    LogSettings,
    MqttSettings,
    Settings,
    StateSettings,
    ThermalSettings,
    TlsSettings,
)
from support.configurations import SQUARE, Folder, codes

ROOT = Path(__file__).parents[3]

CONTRACT = """\
mqtt:
  url: mqtt://localhost:1883
  protocol: auto
  client_id: geoweir
  username: null
  password_file: null
  tls: {ca: null, cert: null, key: null}
  session_expiry: 1h
  receive_window: 10000
  ack_order: received
layers:
  counties: {path: counties.gwl}
  zones: {topic: fences/+, crs: EPSG:4326}
rasters:
  dem: {path: dem.tif}
streams:
  vessels:
    subscribe: ais/+/position
    qos: 1
    retained: accept
    format: geojson
    fields: {id: properties.mmsi, time: properties.timestamp, x: a.x, y: a.y, z: a.z}
    crs: EPSG:4326
    priority: normal
    limits: {payload: 1MB, depth: 4, features: 1000, vertices: 20000, coordinate: 1e9, ahead: 5m, ids: 100000}
    dedupe: null
    prefilter: {bbox: null, z: null, max_age: null, min_interval: null}
    steps: []
    publish: {topic: "geoweir/{stream}/{id}", qos: 1, retain: false, batch: none}
    events: {topic: "geoweir/{stream}/{id}/events", qos: 1}
    rejected: {topic: "geoweir/rejected/{stream}", qos: 1}
    reconcile: {topic: "geoweir/reconcile/{stream}", qos: 1}
queue: {limit: 500, when_full: backpressure, spill: {path: null, max: 256MB}}
pool: {workers: auto, chunk: 128, linger: 2ms, timeout: 4s, memory: 150MB, on_failure: isolate, sandbox: strict}
thermal: {limit: auto, resume: null, sensor: auto, smallest_chunk: 32, root: /}
state: {path: null, keep: {rejected: true, reconciled: true, messages: 10000, size: null, age: 7d}}
http: {listen: 127.0.0.1:9108, token_file: null}
watchdog: {systemd: true, device: null, interval: 2s}
shutdown_grace: 10s
map: {enabled: true, draw: false, devices: 10000, stale: 6m, forget: 30m, tail: 32, tiles: null, mbtiles: null}
log: {level: info, format: text}
version: 1
"""  # noqa: E501 - as the contract has it


STEPS: list[tuple[str, dict[str, object]]] = [
    ("reproject", {"to": "EPSG:4326"}),
    ("validate", {"repair": "none", "max_vertices": 500}),
    ("validate", {"repair": "structure", "max_vertices": 100}),
    ("join", {"layer": "zones", "predicate": "within", "attach": [], "match": "first"}),
    ("join", {"layer": "zones", "predicate": "intersects", "attach": ["name"], "match": "all"}),
    (
        "where",
        {"inside": "zones", "field": "speed", "above": 5, "not_in": [7, "x"], "exists": False},
    ),
    ("keep", {"fields": ["a", "b"]}),
    ("drop", {"fields": ["c"]}),
    ("python", {"call": "own:f"}),
]


def test_every_key_of_the_contract_is_known(folder: Folder) -> None:
    folder.write("counties.gwl", "")
    folder.write("dem.tif", "")
    assert {fault.code for fault in folder.load(CONTRACT).faults} == {"not-built"}


def test_the_values_of_the_contract_are_the_defaults(folder: Folder) -> None:
    unbuilt = ("layers:", "  counties", "  zones", "rasters:", "  dem", "    fields:")
    lines = [line for line in CONTRACT.splitlines() if not line.startswith(unbuilt)]
    written = folder.load("\n".join(lines)).settings
    assumed = folder.load("streams: {vessels: {subscribe: ais/+/position}}").settings
    assert written is not None
    assert assumed is not None
    assert replace(written, memory=None) == replace(assumed, memory=None)
    assert assumed.mqtt == MqttSettings()
    assert assumed.http == HttpSettings()
    assert assumed.log == LogSettings()
    assert assumed.streams == (StreamSpec(name="vessels", subscribe=("ais/+/position",)),)
    assert (assumed.queue_limit, assumed.shutdown_grace_s) == (500, 10.0)


def test_a_configuration_becomes_plain_values(folder: Folder) -> None:
    text = """\
        mqtt:
          url: wss://joe:pw@broker.example/ws
          protocol: 3.1.1
          client_id: gw-7
          session_expiry: 2d
          receive_window: 100
          ack_order: any
        layers: {zones: {path: zones.geojson, crs: "OGC:CRS84"}}
        streams:
          a:
            subscribe: [$share/g/a/+, b]
            qos: 0
            retained: ignore
            format: json
            fields: {id: mmsi, time: t, x: p.0, y: p.1, z: h}
            crs: EPSG:3857
            priority: high
            limits:
              {payload: 64KB, depth: 2, features: 3, vertices: 4, coordinate: 5, ahead: 1m, ids: 6}
            prefilter: {bbox: [1, 2, 3, 4.5], z: [-1, 1], max_age: 1h, min_interval: 250ms}
            publish: {topic: "x/{id}", qos: 0, retain: true, batch: chunk}
            rejected: {topic: r, qos: 0}
            reconcile: {topic: c, qos: 0}
            steps:
              - reproject: {to: EPSG:4326}
              - validate
              - validate: {repair: structure, max_vertices: 100}
              - join: {layer: zones}
              - join: {layer: zones, predicate: intersects, attach: [name], match: all}
              - where: {inside: zones, field: speed, above: 5, not_in: [7, x], exists: false}
              - keep: [a, b]
              - drop: [c]
              - python: own:f
        queue: {limit: 7}
        pool: {workers: 3, chunk: 9, linger: 0ms, timeout: 1s, memory: 1GiB, on_failure: drop}
        http: {listen: "[::1]:0"}
        shutdown_grace: 20s
        log: {level: debug, format: json}
        """
    folder.write("own.py", "def f(chunk): pass\n")
    loaded = folder.load(text)
    assert loaded.faults == []
    stream = StreamSpec(
        name="a",
        subscribe=("$share/g/a/+", "b"),
        qos=0,
        retained="ignore",
        format="json",
        fields=Fields(id="mmsi", time="t", x="p.0", y="p.1", z="h"),
        crs="EPSG:3857",
        priority="high",
        limits=Limits(
            payload=64_000, depth=2, features=3, vertices=4, coordinate=5.0, ahead_s=60.0, ids=6
        ),
        prefilter=PrefilterSpec(
            bbox=(1.0, 2.0, 3.0, 4.5), z=(-1.0, 1.0), max_age_s=3600.0, min_interval_s=0.25
        ),
        publish=TopicSpec(topic="x/{id}", qos=0, retain=True, batch="chunk"),
        rejected=TopicSpec(topic="r", qos=0),
        reconcile=TopicSpec(topic="c", qos=0),
        steps=tuple(StepSpec(name=name, options=options) for name, options in STEPS),
    )
    home = str(folder.path)
    assert loaded.settings is not None
    assert loaded.settings.memory is not None  # of which test_memory.py speaks
    assert replace(loaded.settings, memory=None) == Settings(
        mqtt=MqttSettings(
            host="broker.example",
            port=443,
            transport="websockets",
            path="/ws",
            tls=TlsSettings(),
            username="joe",
            password="pw",  # noqa: S106 - of nobody
            protocol="3.1.1",
            client_id="gw-7",
            session_expiry_s=172_800.0,
            receive_window=100,
            ack_order="any",
        ),
        streams=(stream,),
        layers=(LayerSpec(name="zones", path=f"{home}/zones.geojson", crs="OGC:CRS84"),),
        queue_limit=7,
        pool=PoolSpec(
            workers=3, chunk=9, linger_s=0.0, timeout_s=1.0, memory=2**30, on_failure="drop"
        ),
        http=HttpSettings(host="::1", port=0),
        shutdown_grace_s=20.0,
        log=LogSettings(level="debug", format="json"),
        config_path=f"{home}/gw.yaml",
        module_path=home,
    )


def test_protocol_5_needs_no_quotes(folder: Folder) -> None:
    loaded = folder.load("{mqtt: {protocol: 5}, streams: {a: {subscribe: a}}}")
    assert loaded.settings is not None
    assert loaded.settings.mqtt.protocol == "5"


@pytest.mark.parametrize("name", ["buses.yaml", "ais.yaml"])
def test_an_example_loads_when_its_layers_are_there(name: str, tmp_path: Path) -> None:
    for layer in ("stops.geojson", "districts.geojson"):
        (tmp_path / layer).write_text(SQUARE, encoding="utf-8")
    (tmp_path / "us_counties_10m.geojson.gz").write_bytes(gzip.compress(SQUARE.encode()))
    shutil.copy(ROOT / "examples" / name, tmp_path)
    loaded = load(tmp_path / name, {"MQTT_HOST": "broker"})
    assert loaded.faults == []
    assert loaded.settings is not None
    assert loaded.settings.mqtt.host == "broker"


def test_a_file_that_is_not_there_is_one_fault(tmp_path: Path) -> None:
    loaded = load(tmp_path / "gw.yaml", {})
    assert codes(loaded) == [(1, "", "missing-file")]
    assert loaded.settings is None


def test_a_folder_is_no_configuration(tmp_path: Path) -> None:
    assert codes(load(tmp_path, {})) == [(1, "", "unreadable-file")]


def test_settings_come_with_warnings_and_never_with_errors(folder: Folder) -> None:
    warned = folder.load("{streams: {a: {subscribe: a}}, map: {draw: true}}")
    assert codes(warned) == [(1, "map", "not-built")]
    assert warned.settings is not None
    assert folder.load("{streams: {a: {subscribe: a, qos: 2}}}").settings is None


def test_heat_is_read_from_the_configurations_folder_or_from_the_machine(folder: Folder) -> None:
    text = "{{streams: {{a: {{subscribe: a}}}}, thermal: {}}}"
    given = folder.load(text.format("{limit: 80, root: gateway, smallest_chunk: 8}")).settings
    assert given is not None
    assert given.thermal == ThermalSettings(limit=80.0, root=f"{folder.path}/gateway")
    assert given.pool.smallest_chunk == 8
    left = folder.load(text.format("{}")).settings
    assert left is not None
    assert left.thermal == ThermalSettings(limit=None, resume=None, sensor="auto", root="/")


def test_a_relative_path_is_meant_from_the_configurations_folder(
    folder: Folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder.write("gw.yaml", "{layers: {z: {path: zones.geojson}}, streams: {a: {subscribe: a}}}")
    monkeypatch.chdir(folder.path)
    settings = load(Path("gw.yaml"), {}).settings
    assert settings is not None
    assert settings.layers[0].path == str(folder.path / "zones.geojson")


def test_kept_state_stands_in_a_file_or_in_memory_with_a_size_that_suits(folder: Folder) -> None:
    stream = "streams: {a: {subscribe: x, dedupe: 90s}}\n"
    in_memory = folder.load(stream).settings
    in_file = folder.load(stream + "state: {path: s.db, keep: {reconciled: false}}").settings
    given = folder.load(
        stream + "state: {path: /tmp/s.db, keep: {size: 1MB, messages: 5, age: 2h}}"
    ).settings
    assert in_memory is not None
    assert in_file is not None
    assert given is not None
    assert in_memory.state == StateSettings(path=None, size=8_000_000, states=100_000)
    assert in_file.state == StateSettings(
        path=str(folder.path / "s.db"), keeps_reconciled=False, size=64_000_000, states=100_000
    )
    assert given.state == StateSettings(
        path="/tmp/s.db", messages=5, size=1_000_000, age_s=7200.0, states=100_000
    )
    assert in_memory.streams[0].dedupe_s == 90.0


@pytest.mark.parametrize(
    ("path", "code"),
    [("no/folder/s.db", "missing-file"), (".", "unreadable-file"), ("x\\0y", "unreadable-file")],
)
def test_a_place_where_no_state_can_stand_is_a_fault_of_its_line(
    folder: Folder, path: str, code: str
) -> None:
    loaded = folder.load(f'streams: {{a: {{subscribe: x}}}}\nstate:\n  path: "{path}"\n')
    assert [(f.line, f.path, f.code) for f in loaded.faults] == [(3, "state.path", code)]
