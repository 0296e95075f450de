"""Node-RED with one geofence node, as a candidate: MQTT in, the fence, MQTT out, QoS 1.

The packages are installed once, outside the repository: into ``GEOWEIR_BENCH_CACHE``, else the
user's cache folder. Node-RED takes an input as done when it has read it, so this is not the same
promise; it is what many gateways run.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any, Final

from errors import MissingError
from topics import IN, OUT

__all__ = ["PACKAGES", "READY", "command", "version"]

#: What it logs when it is connected and subscribed.
READY: Final = "Connected to broker"
PACKAGES: Final = ("node-red@4.1.15", "node-red-node-geofence@0.3.4")
_INSTALL_S: Final = 300.0

# Every position gets an answer, as from the other candidates, in the same attribute.
_BEFORE: Final = """\
const [lon, lat] = msg.payload.geometry.coordinates;
msg.location = {lon, lat};
return msg;
"""
_AFTER: Final = """\
msg.payload.properties.areas_name = msg.location.inarea ? %s : null;
msg.topic = %s + msg.topic.slice(%d);
return msg;
"""
_SETTINGS: Final = """\
module.exports = {
  flowFile: "flow.json",
  nodesDir: [%s],
  httpAdminRoot: false,
  httpNodeRoot: false,
  uiHost: "127.0.0.1",
  uiPort: 0,
  credentialSecret: false,
  logging: {console: {level: "info", metrics: false, audit: false}},
};
"""


def command(folder: Path, fence: Path, port: int) -> list[str]:
    """The command line; installs the packages where they are missing, writes settings and flow.

    Raises:
        MissingError: node, npm or the packages can't be had.
    """
    modules = _installed()
    node_modules = json.dumps(str(modules / "node-red-node-geofence"))
    (folder / "settings.js").write_text(_SETTINGS % node_modules, encoding="utf-8")
    flow = _flow(json.loads(fence.read_text("utf-8")), port)
    (folder / "flow.json").write_text(json.dumps(flow), encoding="utf-8")
    return [
        _program("node"),
        str(modules / "node-red" / "red.js"),
        "--userDir",
        str(folder),
        "--settings",
        str(folder / "settings.js"),
    ]


def version() -> str:
    """Of what is installed, for the report; empty where nothing is."""
    try:
        text = (_cache() / "node_modules" / "node-red" / "package.json").read_text("utf-8")
    except OSError:
        return ""
    return str(json.loads(text)["version"])


def _installed() -> Path:
    """The folder of modules, installed when needed."""
    _program("node")
    npm, cache = _program("npm"), _cache()
    modules = cache / "node_modules"
    if all((modules / name.partition("@")[0]).is_dir() for name in PACKAGES):
        return modules
    cache.mkdir(parents=True, exist_ok=True)
    options = ["--no-audit", "--no-fund", "--ignore-scripts", "--loglevel=error"]
    try:
        done = subprocess.run(
            [npm, "install", *options, "--prefix", str(cache), *PACKAGES],
            capture_output=True,
            text=True,
            timeout=_INSTALL_S,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise MissingError(f"npm did not install {' '.join(PACKAGES)} in time") from None
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["it says nothing"])[0]
        raise MissingError(f"npm can't install {' '.join(PACKAGES)}: {last[:200]}")
    return modules


def _program(name: str) -> str:
    found = shutil.which(name)
    if found is None:
        raise MissingError(f"no {name} on this machine")
    return found


def _cache() -> Path:
    own = os.environ.get("GEOWEIR_BENCH_CACHE")
    caches = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return (Path(own) if own else Path(caches) / "geoweir-bench") / "node-red"


def _flow(fence: dict[str, Any], port: int) -> list[dict[str, Any]]:
    """The nodes, wired one after the other."""
    points = [{"latitude": lat, "longitude": lon} for lon, lat in fence["points"]]
    after = _AFTER % (json.dumps(fence["name"]), json.dumps(OUT), len(IN))
    return [
        {"id": "tab", "type": "tab", "label": "bench"},
        _broker(port),
        _node("in", "mqtt in", "before", topic=f"{IN}+", qos="1", datatype="json", broker="broker"),
        _node("before", "function", "fence", func=_BEFORE, outputs=1),
        _node(
            "fence",
            "geofence",
            "after",
            name=fence["name"],
            mode="polyline",
            inside="both",
            points=points,
            centre={},
            rad=0,
        ),
        _node("after", "function", "out", func=after, outputs=1),
        _node("out", "mqtt out", "", topic="", qos="1", retain="false", broker="broker"),
    ]


def _broker(port: int) -> dict[str, Any]:
    return {
        "id": "broker",
        "type": "mqtt-broker",
        "broker": "127.0.0.1",
        "port": str(port),
        "clientid": "bench-node-red",
        "autoConnect": True,
        "protocolVersion": "4",
        "keepalive": "60",
        "cleansession": True,
    }


def _node(ident: str, kind: str, following: str, /, **options: Any) -> dict[str, Any]:  # noqa: ANN401 - Node-RED's own
    wires = [[following]] if following else []
    place = {"x": 0, "y": 0}  # what has none is no node of the flow
    return {
        "id": ident,
        "type": kind,
        "z": "tab",
        "name": ident,
        **place,
        "wires": wires,
        **options,
    }
