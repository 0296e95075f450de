"""A user's own step that does what a feature's property ``do`` says, in a real worker."""

from __future__ import annotations

from pathlib import Path

__all__ = ["write_mischief"]

_MODULE = """\
import ctypes, os, signal, time
import shapely


def obey(chunk):
    for i, properties in enumerate(chunk.properties):
        act(chunk, i, properties.get("do"), properties.get("value"))


def act(chunk, i, do, value):
    match do:
        case None:
            pass
        case "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        case "segfault":
            ctypes.string_at(0)
        case "hang":
            sum(iter(lambda: 0, 1))
        case "eat":
            kept = []
            while True:
                kept.append(bytearray(b"x") * 8_000_000)
        case "sleep":
            time.sleep(value)
        case "raise":
            raise ValueError(value)
        case "drop":
            chunk.drop(i)
        case "fail":
            chunk.fail(i, value)
        case "double":
            chunk.properties[i]["doubled"] = chunk.properties[i]["n"] * 2
        case "move":
            chunk.geometry[i] = shapely.Point(*value)
        case "environ":
            chunk.properties[i]["environ"] = str(dict(os.environ))


def slow(chunk):
    time.sleep(0.001 * len(chunk.ids))


def slower(chunk):
    time.sleep(0.004 * len(chunk.ids))


def slow_chunks(chunk):
    time.sleep(0.02)
"""


def write_mischief(folder: Path) -> None:
    """Puts the module ``mischief`` beside a configuration."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "mischief.py").write_text(_MODULE, encoding="utf-8")
