"""What the contract names and this version doesn't have.

What would lose or change messages in silence is refused; what does no harm is accepted with a
warning. Each line of the tables leaves with the change that builds its thing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final

from geoweir.settings.document import Document
from geoweir.settings.faults import Fault, KeyPath
from geoweir.settings.places import EACH, find

__all__ = ["UNBUILT_STEPS", "unbuilt"]

_Test = Callable[[object], bool]

UNBUILT_STEPS: Final = (
    "fence",
    "proximity",
    "threshold",
    "track",
    "window",
    "cell",
    "simplify",
)
_UNBUILT_FORMATS: Final = ("nmea", "sensorthings", "sparkplug", "wkb", "csv", "las")


def _is_given(value: object) -> bool:
    return value is not None


def _is_two(value: object) -> bool:
    return value == 2 and isinstance(value, int)  # noqa: PLR2004 - MQTT's quality of service 2


#: Pattern, what is not built there, and what to do.
_REFUSED: Final[tuple[tuple[tuple[str, ...], _Test, str, str], ...]] = (
    (
        ("watchdog", "device"),
        _is_given,
        "a watchdog device is",
        "Write null; systemd feeds it (RuntimeWatchdogSec=), and geoweir tells systemd.",
    ),
    (
        ("streams", EACH, "format"),
        lambda value: value in _UNBUILT_FORMATS,
        "this format is",
        "Write geojson, json or owntracks.",
    ),
    (("streams", EACH, "qos"), _is_two, "QoS 2 is", "Write 1: keys let consumers drop repeats."),
    *(
        (("streams", EACH, kind, "qos"), _is_two, "QoS 2 is", "Write 1.")
        for kind in ("publish", "events", "rejected", "reconcile")
    ),
)
_WITHOUT_EFFECT: Final = (
    ("map",),
    ("streams", EACH, "events"),
)


def unbuilt(document: Document) -> Iterator[Fault]:
    """Errors for what is used and not built, warnings for what has no effect."""
    for pattern, is_used, what, remedy in _REFUSED:
        for path, value in find(document.data, *pattern):
            if is_used(value):
                yield _refused(document, path, what, remedy)
    for path, step in find(document.data, "streams", EACH, "steps", EACH):
        yield from _steps(document, path, step)
    for pattern in _WITHOUT_EFFECT:
        for path, _ in find(document.data, *pattern):
            message = "accepted, has no effect in this version."
            yield document.fault(path, "not-built", message, "Nothing needs doing.", "warning")


def _steps(document: Document, path: KeyPath, step: object) -> Iterator[Fault]:
    names = [step] if isinstance(step, str) else step if isinstance(step, dict) else []
    for name in names:
        if name in UNBUILT_STEPS:
            place = (*path, name) if isinstance(step, dict) else path
            yield _refused(document, place, f"the step {name} is", "Remove the step.")


def _refused(document: Document, path: KeyPath, what: str, remedy: str) -> Fault:
    return document.fault(path, "not-built", f"{what} not in this version.", remedy)
