"""No configuration brings loading down, whatever it holds."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from geoweir.settings.load import load

_SAMPLE = b"""\
mqtt: {url: "mqtt://u:${PW}@h", tls: {ca: x}, password_file: y}
layers: {z: {path: z.json, crs: EPSG:4326}}
streams:
  a:
    subscribe: [x/+, $share/g/y]
    fields: {id: "{topic[1]}"}
    prefilter: {bbox: [1, 2, 3, 4], max_age: 5m}
    steps: [validate, {join: {layer: z}}, {where: {field: a, in: [1, b]}}, {python: "m:f"}]
    publish: {topic: "geoweir/{stream}/{id}"}
pool: {workers: auto, chunk: 128, memory: 150MB}
"""
_LEAVES = st.one_of(
    st.sampled_from(
        ["null", "true", ".nan", ".inf", "1e999", "0x10", "~", "4s", "5GB", "'#'", "EPSG:0", "${X}",
         "$$", '"{topic[9]}"', "9" * 60, "-1", '"\\0"', '"\\ud800"', "*a", "&a b", "!t", "[", "|"]
    ),
    st.text(max_size=8),
)  # fmt: skip
_KEYS = st.sampled_from(
    ["mqtt", "layers", "streams", "a", "subscribe", "steps", "join", "layer", "where", "fields",
     "prefilter", "bbox", "publish", "topic", "pool", "workers", "path", "crs", "version", "qos",
     "python", "http", "listen", "tls", "ca", "url", "client_id", "reproject", "to", "queue"]
)  # fmt: skip
_FLOW = st.recursive(
    _LEAVES,
    lambda inner: st.one_of(
        st.lists(inner, max_size=4).map(lambda items: "[" + ", ".join(items) + "]"),
        st.lists(st.tuples(_KEYS, inner), max_size=5).map(
            lambda items: "{" + ", ".join(f"{key}: {value}" for key, value in items) + "}"
        ),
    ),
    max_leaves=20,
)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("settings")


def _loads(home: Path, content: bytes) -> None:
    path = home / "gw.yaml"
    path.write_bytes(content)
    loaded = load(path, {"PW": "canary"})
    errors = [fault for fault in loaded.faults if fault.severity == "error"]
    assert (loaded.settings is None) == bool(errors)
    for fault in loaded.faults:
        assert fault.line >= 1
        assert fault.column >= 1
        assert fault.message
        assert fault.source_form().count("\n") <= 1
        assert "\n" not in fault.line_form()
        assert "canary" not in fault.line_form() + fault.source_form()


_FIXTURE_STAYS = settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


@_FIXTURE_STAYS
@given(content=st.binary(max_size=200))
def test_any_bytes_give_settings_or_an_error(home: Path, content: bytes) -> None:
    _loads(home, content)


@_FIXTURE_STAYS
@given(text=_FLOW)
def test_any_yaml_gives_settings_or_an_error(home: Path, text: str) -> None:
    _loads(home, text.encode(errors="surrogatepass"))


@_FIXTURE_STAYS
@given(
    start=st.integers(0, len(_SAMPLE)),
    length=st.integers(0, 20),
    replacement=st.one_of(
        st.binary(max_size=5), _LEAVES.map(lambda text: text.encode("utf-8", "replace"))
    ),
)
def test_a_damaged_configuration_gives_settings_or_an_error(
    home: Path, start: int, length: int, replacement: bytes
) -> None:
    _loads(home, _SAMPLE[:start] + replacement + _SAMPLE[start + length :])
