"""No text from outside takes a pattern of ours more than a few steps for each character."""

from __future__ import annotations

import importlib
import pkgutil
import re

import pytest

import geoweir

ROOMS = ("codec", "core", "mqtt", "steps", "telemetry", "web")
UNITS = ["a", "0", "0.", ".", "-", ":60", ":60.0", "e+", "%", "/", "{", "{}", "[", " ", "\\", "@",
         "://a", "\x1b[", "\x9b0", "\x1b[0;", "\ud800", "\u202e"]  # fmt: skip


def patterns() -> dict[str, re.Pattern[str]]:
    """Every pattern that a module of these rooms keeps."""
    found: dict[str, re.Pattern[str]] = {}
    for room in ROOMS:
        folder = importlib.import_module(f"geoweir.{room}")
        for module in pkgutil.iter_modules(folder.__path__, f"geoweir.{room}."):
            for name, value in vars(importlib.import_module(module.name)).items():
                if isinstance(value, re.Pattern):
                    found[f"{module.name.removeprefix(geoweir.__name__ + '.')}.{name}"] = value
    return found


# A pattern that backtracks needs longer than the universe has for these.
@pytest.mark.timeout(60)
@pytest.mark.parametrize("name", patterns())
def test_t31_no_pattern_backtracks(name: str) -> None:
    pattern = patterns()[name]
    for unit in UNITS:
        for text in (unit * 2_000 + "b", "0" + unit * 2_000 + "!"):
            pattern.fullmatch(text)
            pattern.sub("", text)
