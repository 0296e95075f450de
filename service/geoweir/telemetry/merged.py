"""One page of metrics out of the pages of several processes.

A page is the text that ``exposition.render`` makes, so its form is known: no timestamps, no
exemplars, one value after the last space. That makes a series one key, and merging pages adding
numbers; prometheus_client's parser takes twenty times as long for the same page.

Counters and histograms are summed. Gauges are summed, or the largest or smallest counts, where the
tables say so; everything else, and what is about one process or one worker, keeps a row for each
process under the label ``process``: that is right for any gauge, and has as many rows as there are
processes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final

from prometheus_client.utils import floatToGoString

__all__ = ["Family", "Page", "labelled", "merge", "read", "remains", "write"]

_SUMMED: Final = frozenset(
    {
        "geoweir_in_flight",
        "geoweir_unaccounted",
        "geoweir_queue_messages",
        "geoweir_queue_limit",
        "geoweir_workers",
        "geoweir_kept_messages",
        "geoweir_kept_bytes",
        "geoweir_retrying",
        "geoweir_spill_messages",
        "geoweir_spill_bytes",
        "geoweir_spill_limit_bytes",
    }
)
#: The oldest, the last, what any process does, and bounds that each process has for itself.
_LARGEST: Final = frozenset(
    {
        "geoweir_oldest_in_flight_seconds",
        "geoweir_last_received_timestamp_seconds",
        "geoweir_reading_paused",
        "geoweir_receive_window",
        "geoweir_chunk_limit",
        "geoweir_worker_memory_limit_bytes",
        "geoweir_temperature_celsius",
        "geoweir_temperature_limit_celsius",
        "geoweir_cpu_frequency_hertz",
        "geoweir_undervoltage",
        "geoweir_pressure_ratio",
        "geoweir_layer_info",
        "geoweir_raster_info",
        "geoweir_build_info",
    }
)
#: 1 only when it is so in every process: one that is away has none.
_SMALLEST: Final = frozenset(
    {
        "geoweir_mqtt_connected",
        "geoweir_store_up",
        "geoweir_spill_up",
        "geoweir_config_last_reload_successful",
        "geoweir_workers_sandboxed",
    }
)

_HELD: Final = "geoweir_in_flight"
_RETURNED: Final = "geoweir_returned_total"
_UNACCOUNTED: Final = "geoweir_unaccounted"
_WORKER: Final = 'worker="'


@dataclass(slots=True)
class Family:
    """One metric; ``series`` has the whole name, labels included, as the text has it."""

    help: str = ""
    kind: str = "untyped"
    series: dict[str, float] = field(default_factory=dict)


#: The families of a page by name, in its order.
Page = dict[str, Family]


def read(text: bytes) -> Page:
    """The page that a text of ``exposition.render`` holds; ValueError where it is none."""
    page: Page = {}
    family = Family()
    for line in text.decode().splitlines():
        if line.startswith("# HELP "):
            name, _, words = line[7:].partition(" ")
            family = page.setdefault(name, Family())
            family.help = words
        elif line.startswith("# TYPE "):
            name, _, kind = line[7:].partition(" ")
            family = page.setdefault(name, Family())
            family.kind = kind
        elif line:
            key, _, value = line.rpartition(" ")
            family.series[key] = float(value)
    return page


def write(page: Page) -> bytes:
    """A page as Prometheus's text format 0.0.4."""
    lines = []
    for name, family in page.items():
        lines += [f"# HELP {name} {family.help}", f"# TYPE {name} {family.kind}"]
        lines += [f"{key} {_number(value)}" for key, value in family.series.items()]
    return "".join(f"{line}\n" for line in lines).encode()


def labelled(page: Page, process: str) -> Page:
    """The page with the label ``process`` on each series."""
    return {
        name: Family(
            family.help,
            family.kind,
            {_label(key, process): value for key, value in family.series.items()},
        )
        for name, family in page.items()
    }


def remains(page: Page) -> Page:
    """What the page of a process that ended goes on adding to the sum.

    Its counters, or the sum would fall, which reads as a restart of everything. What it held when
    it was last heard of counts as returned, as in the account: it comes again. What it could not
    account for stays visible.
    """
    left = {
        name: Family(family.help, family.kind, dict(family.series))
        for name, family in page.items()
        if name == _UNACCOUNTED or (family.kind in {"counter", "histogram"} and _is_summed(name))
    }
    returned = left.get(_RETURNED, Family()).series
    for key, value in page.get(_HELD, Family()).series.items():
        place = key.replace(_HELD, _RETURNED, 1)
        returned[place] = returned.get(place, 0.0) + value
    for family in left.values():
        family.series = {k: v for k, v in family.series.items() if _WORKER not in k}
    return left


def merge(past: Iterable[Page], living: Mapping[str, Page], processes: int) -> Page:
    """One page for all.

    Args:
        past: what processes left behind (``remains``).
        living: the pages of those that answer, by the value of their label ``process``.
        processes: how many there should be.
    """
    merged: Page = {}
    for process, page in living.items():
        for name, family in page.items():
            into = merged.setdefault(name, Family(family.help, family.kind))
            _add(into, name, family, process)
    for page in past:
        for name, family in page.items():
            into = merged.setdefault(name, Family(family.help, family.kind))
            _add(into, name, family, "")
    if len(living) < processes:
        for name in _SMALLEST & merged.keys():
            merged[name].series = dict.fromkeys(merged[name].series, 0.0)
    return merged


def _add(into: Family, name: str, family: Family, process: str) -> None:
    combine = _combining(name, family.kind)
    for key, value in family.series.items():
        if combine is None or _WORKER in key:
            into.series[_label(key, process)] = value
        else:
            before = into.series.get(key)
            into.series[key] = value if before is None else combine(before, value)


def _combining(name: str, kind: str) -> Callable[[float, float], float] | None:
    """How two values of one series become one; None where each process keeps its own."""
    if name in _LARGEST:
        return _largest
    if name in _SMALLEST:
        return min
    if name in _SUMMED or (kind in {"counter", "histogram"} and _is_summed(name)):
        return _sum
    return None


def _is_summed(name: str) -> bool:
    # process_cpu_seconds_total and its like are about one process.
    return name.startswith("geoweir_")


def _number(value: float) -> str:
    return str(floatToGoString(value))  # type: ignore[no-untyped-call]


def _largest(one: float, other: float) -> float:
    """The larger one; a process that doesn't know (NaN) has no say."""
    return other if one != one else max(one, other)  # noqa: PLR0124 - NaN is what isn't itself


def _sum(one: float, other: float) -> float:
    return one + other


def _label(key: str, process: str) -> str:
    name, brace, rest = key.partition("{")
    return f'{name}{{process="{process}"' + (f",{rest}" if brace else "}")
