"""Each fault that a configuration can have, with the line and path that it is named by."""

import pytest

from geoweir.settings.values import SpillSettings
from support.configurations import Folder, codes

STREAM = "streams: {a: {subscribe: x/+}}\n"
_FAULTS = [
    # Keys
    (STREAM + "poool: {}", 2, "poool", "unknown-key", 'The nearest valid key here is "pool".'),
    (STREAM + "pool:\n  chunks: 1", 3, "pool.chunks", "unknown-key", '"chunk"'),
    (STREAM + "chunk: 1", 2, "chunk", "unknown-key", 'It is valid in "pool"; move it there.'),
    (STREAM + "subscribe: x", 2, "subscribe", "unknown-key", 'It is valid in "streams.NAME"'),
    (STREAM + "pool:\n  log: {}", 3, "pool.log", "unknown-key", "valid at the top of the file"),
    (STREAM + "pool:\n  when_full: x", 3, "pool.when_full", "unknown-key", 'valid in "queue"'),
    (STREAM + "log: {zzz: 1}", 2, "log.zzz", "unknown-key", "Valid keys here: level, format."),
    ("pool: {}", 1, "streams", "missing-key", "what is read"),
    ("streams: {}", 1, "streams", "out-of-range", "Give at least 1."),
    ("streams: {a: {}}", 1, "streams.a.subscribe", "missing-key", "a topic filter"),
    ("streams: {'a b': {subscribe: x}}", 1, "streams.a b", "bad-name", "letters, digits"),
    ("streams: {out: {subscribe: x}}", 1, "streams.out", "reserved-name", "another name"),
    # Types
    (STREAM + "pool: {chunk: '1'}", 2, "pool.chunk", "wrong-type", "without quotes"),
    (STREAM + "pool: {chunk: 1.5}", 2, "pool.chunk", "wrong-type", "fraction"),
    (STREAM + "pool: []", 2, "pool", "wrong-type", "{workers: …}"),
    (STREAM + "pool:", 2, "pool", "wrong-type", "{workers: …}"),
    ("streams: []", 1, "streams", "wrong-type", "NAME:"),
    ("streams: {a: {subscribe: 5}}", 1, "streams.a.subscribe", "wrong-type", "list"),
    ("streams: {a: {subscribe: [5]}}", 1, "streams.a.subscribe[0]", "wrong-type", "text"),
    (STREAM + "http: {listen: 9108}", 2, "http.listen", "wrong-type", "quotes"),
    ("streams: {a: {subscribe: x, publish: {retain: yes}}}", 1, "streams.a.publish.retain",
     "wrong-type", "Write true or false."),
    ("streams: {a: {subscribe: x, limits: {coordinate: far}}}", 1, "streams.a.limits.coordinate",
     "wrong-type", "without quotes"),
    ("streams: {a: {subscribe: x, limits: {coordinate: 0}}}", 1, "streams.a.limits.coordinate",
     "out-of-range", "more than 0"),
    ("streams: {a: {subscribe: x, limits: {coordinate: .nan}}}", 1, "streams.a.limits.coordinate",
     "out-of-range", "finite"),
    ("streams: {a: {subscribe: x, crs: ''}}", 1, "streams.a.crs", "bad-value", "remove the key"),
    # Values
    (STREAM + "version: 2", 2, "version", "bad-value", "Write 1."),
    (STREAM + "log: {level: loud}", 2, "log.level", "bad-value", "debug, info, warning or error"),
    (STREAM + "pool: {chunk: 0}", 2, "pool.chunk", "out-of-range", "Write 1 or more."),
    (STREAM + "pool: {chunk: 9999}", 2, "pool.chunk", "out-of-range", "Write 1000 or less."),
    (STREAM + "pool: {timeout: 4}", 2, "pool.timeout", "bad-value", "ms, s, m, h or d"),
    (STREAM + "pool: {timeout: 0s}", 2, "pool.timeout", "out-of-range", "Write 50ms to 10m."),
    (STREAM + "pool: {linger: 1h}", 2, "pool.linger", "out-of-range", "Write 0ms to 10s."),
    (STREAM + "pool: {memory: 150}", 2, "pool.memory", "bad-value", "KiB"),
    (STREAM + "pool: {memory: 1KB}", 2, "pool.memory", "out-of-range", "Write 32MB to 64GB."),
    (STREAM + "pool: {workers: many}", 2, "pool.workers", "bad-value", "Write auto or 1 to 64."),
    (STREAM + "shutdown_grace: 10", 2, "shutdown_grace", "bad-value", "ms, s, m, h or d"),
    (STREAM + "queue: {limit: 0}", 2, "queue.limit", "out-of-range", "Write 1 or more."),
    (STREAM + "http: {listen: '9108'}", 2, "http.listen", "bad-value", "127.0.0.1:9108"),
    (STREAM + "mqtt: {url: 'http://x'}", 2, "mqtt.url", "bad-url", "mqtt://"),
    (STREAM + "mqtt: {client_id: a/b}", 2, "mqtt.client_id", "bad-value", "letters, digits"),
    (STREAM + "mqtt: {receive_window: 0}", 2, "mqtt.receive_window", "out-of-range", "1 or more"),
    # Variables and text
    (STREAM + "pool: {chunk: ${N}}", 2, "", "yaml-syntax", "quotes"),
    (STREAM + "pool:\n  chunk: ${N}", 3, "pool.chunk", "missing-variable", "${N:-default}"),
    (STREAM + "pool: {chunk: 5}\npool: {}", 3, "pool", "repeated-key", "Keep one of the two."),
    # Files
    (STREAM + "layers: {z: {path: no.geojson}}", 2, "layers.z.path", "missing-file", "Correct"),
    (STREAM + "layers: {z: {path: zones.txt}}", 2, "layers.z.path", "unknown-suffix", ".gz"),
    (STREAM + "layers: {z: {path: d.json}}", 2, "layers.z.path", "unreadable-file", "Name a file."),
    (STREAM + 'layers: {z: {path: "a\\0.json"}}', 2, "layers.z.path", "unreadable-file", "Correct"),
    (STREAM + "layers: {z: {}}", 2, "layers.z", "missing-key", "FILE, or topic: FILTER"),
    (STREAM + "rasters: {d: {path: no.tif}}", 2, "rasters.d.path", "missing-file", "Correct"),
    (STREAM + "rasters: {d: {path: d.vrt}}", 2, "rasters.d.path", "unknown-suffix", ".gwr, .tif"),
    (STREAM + "rasters: {d: {}}", 2, "rasters.d.path", "missing-key", "a GeoTIFF"),
    (STREAM + "mqtt: {password_file: no}", 2, "mqtt.password_file", "missing-file", "Correct"),
    (STREAM + "mqtt: {password_file: empty}", 2, "mqtt.password_file", "broken-file", "one line"),
    (STREAM + "http: {token_file: no}", 2, "http.token_file", "missing-file", "Correct"),
    (STREAM + "mqtt: {url: 'mqtts://h', tls: {ca: no}}", 2, "mqtt.tls.ca", "missing-file", "path"),
    (STREAM + "mqtt: {url: 'mqtts://h', tls: {ca: empty}}", 2, "mqtt.tls", "broken-file", "Check"),
    (STREAM + "mqtt: {tls: {ca: zones.geojson}}", 2, "mqtt.tls", "conflict", "mqtts://"),
    (
        STREAM + "mqtt: {password: x, password_file: secret}",
        2,
        "mqtt.password_file",
        "conflict",
        "Keep one",
    ),
    # CRSs
    (STREAM + "layers: {z: {path: zones.geojson, crs: EPSG:99999}}", 2, "layers.z.crs",
     "unknown-crs", "EPSG:4326"),
    ("streams: {a: {subscribe: x, crs: WGS84}}", 1, "streams.a.crs", "unknown-crs", "EPSG:4326"),
    ("streams: {a: {subscribe: x, crs: EPSG:5703}}", 1, "streams.a.crs", "unknown-crs", "EPSG"),
    ("streams: {a: {subscribe: x, crs: '+proj=longlat +nadgrids=/etc/passwd'}}", 1,
     "streams.a.crs", "unknown-crs", "EPSG:4326"),
    ('streams: {a: {subscribe: x, crs: "EPSG:4326\\0"}}', 1, "streams.a.crs", "unknown-crs", ""),
    ("streams: {a: {subscribe: x, crs: '+proj=pipeline +step +proj=merc'}}", 1, "streams.a.crs",
     "unknown-crs", "EPSG:4326"),
    # Topics
    ("streams: {a: {subscribe: x+}}", 1, "streams.a.subscribe", "bad-topic", "ais/+/position"),
    ("streams: {a: {subscribe: [x, '#/y']}}", 1, "streams.a.subscribe[1]", "bad-topic", "ais/+"),
    ("streams: {a: {subscribe: x, rejected: {topic: 'a/#'}}}", 1, "streams.a.rejected.topic",
     "bad-topic", "geoweir/rejected/{stream}"),
    ("streams: {a: {subscribe: x, publish: {topic: 'a/{foo}'}}}", 1, "streams.a.publish.topic",
     "bad-topic", "geoweir/{stream}/{id}"),
    ("streams: {a: {subscribe: x/y, publish: {topic: 'o/{topic[2]}'}}}", 1,
     "streams.a.publish.topic", "topic-level", "Write at most {topic[1]}."),
    ("streams: {a: {subscribe: x/#, publish: {topic: 'o/{topic[1]}'}}}", 1,
     "streams.a.publish.topic", "topic-level", "Write at most {topic[0]}."),
    ("streams: {a: {subscribe: x/+, fields: {id: '{topic[2]}'}}}", 1, "streams.a.fields.id",
     "topic-level", "Write at most {topic[1]}."),
    # Streams
    ("streams: {a: {subscribe: x, prefilter: {bbox: [1, 2, 3]}}}", 1, "streams.a.prefilter.bbox",
     "bad-value", "[WEST, SOUTH, EAST, NORTH]"),
    ("streams: {a: {subscribe: x, prefilter: {bbox: [1, 5, 3, 4]}}}", 1, "streams.a.prefilter.bbox",
     "bad-value", "SOUTH not above NORTH"),
    ("streams: {a: {subscribe: x, prefilter: {bbox: [1, 2, .inf, 4]}}}", 1,
     "streams.a.prefilter.bbox[2]", "out-of-range", "finite"),
    ("streams: {a: {subscribe: x, crs: EPSG:3857, prefilter: {bbox: [3, 2, 1, 4]}}}", 1,
     "streams.a.prefilter.bbox", "bad-value", "WEST"),
    ("streams: {a: {subscribe: x, prefilter: {z: [5, 1]}}}", 1, "streams.a.prefilter.z",
     "bad-value", "[LOWEST, HIGHEST]"),
    ("streams: {a: {subscribe: x, fields: {id: a..b}}}", 1, "streams.a.fields.id", "bad-value",
     "properties.mmsi"),
    ("streams: {a: {subscribe: x, format: json, fields: {x: a}}}", 1, "streams.a.fields.y",
     "missing-key", "Add y to fields"),
    ("streams: {a: {subscribe: x, limits: {payload: 33MB}}}", 1, "streams.a.limits.payload",
     "out-of-range", "Write 1B to 32MB."),
]  # fmt: skip


@pytest.mark.parametrize(("text", "line", "path", "code", "remedy"), _FAULTS)
def test_a_fault_has_its_line_path_code_and_remedy(
    folder: Folder, text: str, line: int, path: str, code: str, remedy: str
) -> None:
    (folder.path / "d.json").mkdir()
    folder.write("empty", "")
    folder.write("secret", "canary\n")
    loaded = folder.load(text)
    assert codes(loaded) == [(line, path, code)]
    assert remedy in loaded.faults[0].help
    assert loaded.settings is None


_STEPS = [
    ("- foo: 1", "", "foo", "unknown-key", "Valid keys here: reproject, validate"),
    ("- jion: {layer: z}", "", "jion", "unknown-key", 'The nearest valid key here is "join".'),
    ("- join: {}", "join", "layer", "missing-key", "the layer's name."),
    ("- join: {layer: zone}", "join", "layer", "unknown-name", "Layers in this file: z."),
    ("- where: {inside: zone}", "where", "inside", "unknown-name", "Layers in this file: z."),
    ("- join: {layer: z, match: any}", "join", "match", "bad-value", "Write first or all."),
    ("- join: {layer: z, atach: [a]}", "join", "atach", "unknown-key", '"attach"'),
    ("- where: {}", "", "where", "bad-value", "inside: LAYER"),
    ("- where: {field: a}", "", "where", "missing-key", "equals"),
    ("- where: {above: 5}", "", "where", "missing-key", "Add field: NAME."),
    ("- where: {field: a, above: [1]}", "where", "above", "bad-value", "finite number or a text"),
    ("- where: {field: a, in: []}", "where", "in", "out-of-range", "Give at least 1."),
    ("- reproject: {to: EPSG:1}", "reproject", "to", "unknown-crs", "EPSG:4326"),
    ("- validate: {repair: all}", "validate", "repair", "bad-value", "none, structure or linework"),
    ("- keep: a", "", "keep", "wrong-type", "Write a list: [A, B]."),
    ("- python: f", "", "python", "bad-value", "module:function"),
    ("- python: no_such_module:f", "", "python", "unknown-module", "beside this file"),
    ("- python: os.no_such_module:f", "", "python", "unknown-module", "beside this file"),
]  # fmt: skip


@pytest.mark.parametrize(("step", "section", "key", "code", "remedy"), _STEPS)
def test_a_fault_of_a_step_is_reported_for_that_step_alone(
    folder: Folder, step: str, section: str, key: str, code: str, remedy: str
) -> None:
    loaded = folder.load(
        "layers: {z: {path: zones.geojson}}\nstreams:\n  a:\n    subscribe: x\n    steps:\n"
        f"      - validate\n      {step}\n"
    )
    path = ".".join(part for part in ("streams.a.steps[1]", section, key) if part)
    assert codes(loaded) == [(7, path, code)]
    assert remedy in loaded.faults[0].help


def test_an_option_beside_its_step_is_sent_into_it(folder: Folder) -> None:
    loaded = folder.load(
        "layers: {z: {path: zones.geojson}}\nstreams:\n  a:\n    subscribe: x\n    steps:\n"
        "      - join:\n        layer: z\n"
    )
    faults = {fault.code: fault for fault in loaded.faults}
    assert faults["unknown-key"].line == 7
    assert 'valid in "streams.a.steps[0].join"' in faults["unknown-key"].help


def test_two_steps_in_one_are_refused(folder: Folder) -> None:
    loaded = folder.load("streams: {a: {subscribe: x, steps: [{keep: [a], drop: [b]}]}}")
    assert codes(loaded) == [(1, "streams.a.steps[0]", "one-step")]


@pytest.mark.parametrize(
    "step",
    ["fence", "proximity", "threshold", "track", "window",
     "cell", "simplify"],
)  # fmt: skip
def test_a_step_that_is_not_built_is_refused(folder: Folder, step: str) -> None:
    loaded = folder.load(f"streams: {{a: {{subscribe: x, steps: [{{{step}: {{a: 1}}}}, {step}]}}}}")
    assert codes(loaded) == [
        (1, f"streams.a.steps[0].{step}", "not-built"),
        (1, "streams.a.steps[1]", "not-built"),
    ]
    assert loaded.settings is None


@pytest.mark.parametrize(
    ("text", "path"),
    [
        *(
            (f"streams: {{a: {{subscribe: x, format: {name}}}}}", "streams.a.format")
            for name in ("nmea", "sensorthings", "sparkplug", "wkb", "csv", "las")
        ),
        ("streams: {a: {subscribe: x, qos: 2}}", "streams.a.qos"),
        ("streams: {a: {subscribe: x, publish: {qos: 2}}}", "streams.a.publish.qos"),
        (STREAM + "watchdog: {device: /dev/watchdog}", "watchdog.device"),
    ],
)
def test_what_is_not_built_is_refused(folder: Folder, text: str, path: str) -> None:
    loaded = folder.load(text)
    assert [(fault.path, fault.code, fault.severity) for fault in loaded.faults] == [
        (path, "not-built", "error")
    ]


@pytest.mark.parametrize(
    ("text", "path", "code"),
    [
        ("map: {draw: true}", "map", "not-built"),
        ("queue: {spill: {path: here}}", "queue.spill.path", "no-effect"),
        ("shutdown_grace: 1s", "shutdown_grace", "short-grace"),
        ("mqtt: {session_expiry: 5s}", "mqtt.session_expiry", "short-session"),
    ],
)
def test_a_warning_does_not_keep_the_service_from_starting(
    folder: Folder, text: str, path: str, code: str
) -> None:
    loaded = folder.load(STREAM + text)
    assert [(fault.path, fault.code, fault.severity) for fault in loaded.faults] == [
        (path, code, "warning")
    ]
    assert loaded.settings is not None


@pytest.mark.parametrize(
    ("text", "path", "code"),
    [
        ("thermal: {limit: hot}", "thermal.limit", "bad-value"),
        ("thermal: {limit: 200}", "thermal.limit", "out-of-range"),
        ("thermal: {limit: -5}", "thermal.limit", "out-of-range"),
        ("thermal: {limit: 70, resume: 70}", "thermal.resume", "bad-value"),
        ("thermal: {smallest_chunk: 0}", "thermal.smallest_chunk", "out-of-range"),
    ],
)
def test_heat_is_checked(folder: Folder, text: str, path: str, code: str) -> None:
    loaded = folder.load(STREAM + text)
    assert codes(loaded) == [(2, path, code)]
    assert loaded.settings is None


def test_a_payload_that_a_worker_has_no_memory_for_is_a_warning(folder: Folder) -> None:
    loaded = folder.load("streams: {a: {subscribe: x, limits: {payload: 10MB}}}")
    assert codes(loaded) == [(1, "streams.a.limits.payload", "too-little-memory")]


def test_settings_without_effect_are_checked_all_the_same(folder: Folder) -> None:
    loaded = folder.load(STREAM + "map: {devices: many}")
    assert codes(loaded) == [(2, "map", "not-built"), (2, "map.devices", "wrong-type")]
    assert loaded.settings is None


def test_all_faults_are_listed_at_once_and_by_line(folder: Folder) -> None:
    loaded = folder.load("""\
        pool: {chunk: many}
        layers: {z: {path: no.json}}
        streams:
          a:
            subscribe: x+
            qos: 2
            steps: [{join: {layer: y}}]
            bbx: 1
        """)
    found = [(line, code) for line, _, code in codes(loaded)]
    assert found == [
        (1, "wrong-type"),
        (2, "missing-file"),
        (5, "bad-topic"),
        (6, "not-built"),
        (7, "unknown-name"),
        (8, "unknown-key"),
    ]


def test_nothing_of_pydantic_reaches_a_message(folder: Folder) -> None:
    for text, *_ in _FAULTS:
        for fault in folder.load(text).faults:
            shown = f"{fault.message} {fault.help}".lower()
            assert "pydantic" not in shown
            assert "input should" not in shown
            assert "?" not in shown
            assert fault.message[-1] == fault.help[-1] == "."


@pytest.mark.parametrize(
    ("options", "path", "code"),
    [
        ("layer: z", ".max_distance", "missing-key"),
        ("layer: y, max_distance: 5", ".layer", "unknown-name"),
        ("layer: z, max_distance: 0", ".max_distance", "out-of-range"),
        ("layer: z, max_distance: 1000001", ".max_distance", "out-of-range"),
        ("layer: z, max_distance: 50m", ".max_distance", "wrong-type"),
        ("layer: z, max_distance: 5, attach: [name, side]", "", "conflict"),
    ],
)
def test_nearest_names_what_is_wrong_with_it(
    folder: Folder, options: str, path: str, code: str
) -> None:
    loaded = folder.load(
        "layers: {z: {path: zones.geojson}}\n"
        f"streams: {{a: {{subscribe: x, steps: [{{nearest: {{{options}}}}}]}}}}"
    )
    assert codes(loaded) == [(2, f"streams.a.steps[0].nearest{path}", code)]


@pytest.mark.parametrize(
    ("text", "path", "code"),
    [
        ("queue: {when_full: spill}", "queue.when_full", "missing-key"),
        (
            "queue: {when_full: spill, spill: {path: no/such/folder}}",
            "queue.spill.path",
            "missing-file",
        ),
        ("queue: {when_full: spill, spill: {path: file}}", "queue.spill.path", "unreadable-file"),
        (
            "queue: {when_full: spill, spill: {path: x, max: 900KB}}",
            "queue.spill.max",
            "out-of-range",
        ),
    ],
)
def test_a_spill_needs_a_folder_and_room(folder: Folder, text: str, path: str, code: str) -> None:
    folder.write("file", "")

    loaded = folder.load(STREAM + text)

    assert [(fault.path, fault.code, fault.severity) for fault in loaded.faults] == [
        (path, code, "error")
    ]


def test_a_spill_stands_beside_the_configuration(folder: Folder) -> None:
    loaded = folder.load(STREAM + "queue: {when_full: spill, spill: {path: s, max: 1MB}}")

    assert loaded.settings is not None
    assert loaded.settings.spill == SpillSettings(path=str(folder.path / "s"), limit=1_000_000)
