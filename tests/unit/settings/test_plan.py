from geoweir.settings.plan import plan
from support.configurations import Folder


def test_the_plan_says_what_would_run(folder: Folder) -> None:
    settings = folder.load("""\
        mqtt: {url: "mqtts://u:canary@[::1]", protocol: 5}
        layers: {zones: {path: zones.geojson}}
        streams:
          a: {subscribe: [x/+, y], steps: [validate, {join: {layer: zones}}]}
        pool: {workers: 3, memory: 100MB}
        queue: {limit: 42}
        memory: 2GB
        thermal: {root: nowhere}
        """).settings
    assert settings is not None
    parts = "service 90MB + 3 workers 300MB + inputs 32MB + outputs 32MB + kept 8MB"
    assert plan(settings) == [
        "broker    [::1]:8883, TCP, TLS, MQTT 5, user u, sessions geoweir-…",
        "workers   3, at most 100MB each, 300MB together",
        "chunks    at most 128 features or 65536B, 4s each, on failure isolate",
        "queue     42 messages, then reading stops",
        "window    10000 inputs or 32MB unacknowledged per stream",
        f"memory    {parts} = 462MB of 2000MB, limit not enforced here",
        "heat      no sensor of the processor: full work at any temperature",
        "sandbox   strict: seccomp",
        "keeps     rejected and reconciled inputs, at most 10000 messages, 8MB, 7d, in memory only",
        "http      127.0.0.1:9108",
        "end       within 10s",
        f"layer     zones: {folder.path}/zones.geojson (its own CRS)",
        "stream    a: geojson, EPSG:4326, priority normal",
        "  in      x/+, y (QoS 1)",
        "  steps   validate → join",
        "  out     geoweir/a/{id} (QoS 1)",
        "  else    rejected geoweir/rejected/a, reconciled geoweir/reconcile/a",
    ]
