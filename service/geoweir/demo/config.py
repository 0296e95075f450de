"""The demo's configuration, as the text that a user would write."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Final

__all__ = ["ABOUT", "DATA_DIR", "demo_yaml"]

#: The data that comes with the package.
DATA_DIR: Final = Path(__file__).parent / "data"

#: What a page that shows the demo has to say.
ABOUT: Final = (
    "Simulated buses on the real routes of Cairns, Queensland, by the weekday timetable of 2014,"
    " run eight times over, seven minutes apart; the positions have a receiver's noise added."
    " Districts are computed from stop names and are no official boundaries. Receivers: recorded"
    " logs under today's date. Timetable: State of Queensland (TransLink), CC BY; logs: GPSD"
    " project, BSD-2-Clause."
)

_YAML: Final = """\
# The demo: buses on the routes of Cairns, each with the stop and the district that it is in.

mqtt:
  url: {url}
  protocol: {protocol}
  client_id: geoweir-demo

layers:
  stops: {{path: {stops}}}
  districts: {{path: {districts}}}

streams:
  buses:
    subscribe: demo/buses/+
    qos: 1
    format: geojson
    fields: {{time: properties.time}}
    steps:
      - join: {{layer: stops, predicate: within, attach: [stop_id, name]}}
      - join: {{layer: districts, predicate: within, attach: [name]}}
  receivers:
    subscribe: demo/receivers/+
    qos: 1
    format: geojson
    fields: {{time: properties.time}}

http: {{listen: "127.0.0.1:{http_port}"}}
"""


def demo_yaml(
    broker_url: str, http_port: int, data_dir: Path = DATA_DIR, *, protocol: str = "auto"
) -> str:
    """The configuration as YAML.

    Args:
        broker_url: such as ``mqtt://127.0.0.1:1883``.
        http_port: on 127.0.0.1.
        data_dir: where the layers are.
        protocol: ``mqtt.protocol``: what the embedded broker asks for.
    """
    return _YAML.format(
        url=broker_url,
        protocol=json.dumps(protocol),
        stops=_quoted(data_dir / "stops.geojson.gz"),
        districts=_quoted(data_dir / "districts.geojson.gz"),
        http_port=http_port,
    )


def _quoted(path: Path) -> str:
    """A path as a YAML text: JSON is YAML."""
    return json.dumps(str(path), ensure_ascii=False)
