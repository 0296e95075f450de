"""geoweir's configurations of the measurements, as plain values; JSON is YAML, too."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from brokers import free_port
from topics import IN, OUT

__all__ = ["configuration", "stream"]


def configuration(port: int, protocol: str, layer: Path, workers: int = 2) -> dict[str, Any]:
    """One stream, ``positions``, that joins each position with the areas; defaults otherwise."""
    return {
        "mqtt": {"url": f"mqtt://127.0.0.1:{port}", "protocol": protocol, "client_id": "bench"},
        "layers": {"areas": {"path": str(layer)}},
        "streams": {"positions": stream(IN, f"{OUT}{{id}}")},
        "pool": {"workers": workers},
        "http": {"listen": f"127.0.0.1:{free_port()}"},
    }


def stream(inlet: str, topic: str) -> dict[str, Any]:
    """A stream from an inlet to a topic."""
    return {
        "subscribe": f"{inlet}+",
        "fields": {"time": "properties.time"},
        "steps": [{"join": {"layer": "areas", "predicate": "within", "attach": ["name"]}}],
        "publish": {"topic": topic},
    }
