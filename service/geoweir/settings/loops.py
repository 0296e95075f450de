"""Topics that would feed the service its own output."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from geoweir.settings.document import Document
from geoweir.settings.faults import Fault, KeyPath
from geoweir.settings.places import EACH, find, texts, value_at
from geoweir.settings.topics import (
    address_filter,
    can_match,
    filter_problem,
    guaranteed_levels,
    template_problem,
    topic_levels,
)

__all__ = ["DEFAULT_TOPICS", "topic_faults"]

#: Outputs of a stream, and the topics that they have when the configuration names none.
DEFAULT_TOPICS: Final = {
    "publish": "geoweir/{stream}/{id}",
    "rejected": "geoweir/rejected/{stream}",
    "reconcile": "geoweir/reconcile/{stream}",
}
#: Where results could go instead, most usual first.
_ALTERNATIVES: Final = {
    "publish": ("geoweir/{stream}/{id}", "out/{stream}/{id}", "results/{stream}/{id}"),
    "rejected": ("geoweir/rejected/{stream}", "out/rejected/{stream}", "results/rejected/{stream}"),
    "reconcile": (
        "geoweir/reconcile/{stream}",
        "out/reconcile/{stream}",
        "results/reconcile/{stream}",
    ),
}


@dataclass(frozen=True, slots=True)
class _Subscription:
    """One filter of one stream, or of the live layer that its path names."""

    stream: str  # empty for a layer
    path: KeyPath
    written: str  # as the file has it, in quotes
    address: str  # without $share/group/


def topic_faults(document: Document) -> list[Fault]:
    """Faults of filters and output topics, by themselves and with each other."""
    subscriptions: list[_Subscription] = []
    faults: list[Fault] = []
    for path, text in _filters(document):
        is_stream = path[0] == "streams"
        why = filter_problem(text) if is_stream else _live_problem(text)
        if why is None:
            name = str(path[1]) if is_stream else ""
            written = document.quoted(path)
            subscriptions.append(_Subscription(name, path, written, address_filter(text)))
        else:
            message = f"{document.quoted(path)} is no topic filter: {why}."
            remedy = f"Write one such as {'ais/+/position' if is_stream else 'fences/+'}."
            faults.append(document.fault(path, "bad-topic", message, remedy))
    faults += _repeated(document, [one for one in subscriptions if one.stream])
    faults += _levels_of_fields(document, subscriptions)
    greedy = _too_wide(document, subscriptions)
    faults += greedy.values()
    for stream in _names(document):
        for kind, usual in DEFAULT_TOPICS.items():
            is_given = value_at(document.data, "streams", stream, kind, "topic") is not None
            # One fault is enough where a filter matches whatever geoweir sends by itself.
            met = [one for one in subscriptions if is_given or one.path not in greedy]
            faults += _output(document, stream, (kind, usual), met)
    return faults


def _names(document: Document) -> list[str]:
    return [str(path[1]) for path, value in find(document.data, "streams", EACH) if value]


def _filters(document: Document) -> Iterator[tuple[KeyPath, str]]:
    yield from texts(document, "streams", EACH, "subscribe")
    yield from texts(document, "streams", EACH, "subscribe", EACH)
    yield from texts(document, "layers", EACH, "topic")


def _live_problem(text: str) -> str | None:
    """Why a text is no filter of a live layer."""
    if text.startswith("$share/"):
        return "a live layer needs every message, a shared subscription gets some and none retained"
    return filter_problem(text)


def _repeated(document: Document, subscriptions: list[_Subscription]) -> Iterator[Fault]:
    first: dict[str, _Subscription] = {}
    for one in subscriptions:
        other = first.setdefault(one.address, one)
        if other is one:
            continue
        line = document.mark(other.path).line
        whose = "this stream" if other.stream == one.stream else f"stream {other.stream}"
        message = f"{one.written} is also a subscription of {whose} (line {line})."
        remedy = "Every such message is an input twice; keep one if that is not wanted."
        yield document.fault(one.path, "same-subscription", message, remedy, "warning")


def _levels_of_fields(document: Document, subscriptions: list[_Subscription]) -> Iterator[Fault]:
    for path, text in texts(document, "streams", EACH, "fields", EACH):
        mine = [one for one in subscriptions if one.stream == path[1]]
        for level in topic_levels(text):
            closed = [one for one in mine if not one.address.endswith("#")]
            if closed and len(closed) == len(mine):
                yield from _too_deep(document, path, level, mine)


def _too_deep(
    document: Document, path: KeyPath, level: int, subscriptions: list[_Subscription]
) -> Iterator[Fault]:
    """A fault where a level is used that the topics of a subscription need not have."""
    for one in subscriptions:
        if level >= guaranteed_levels(one.address):
            message = (
                f"{{topic[{level}]}} is not in every topic that {one.written}"
                f" (line {document.mark(one.path).line}) matches; levels are counted from 0."
            )
            highest = guaranteed_levels(one.address) - 1
            remedy = (
                f"Write at most {{topic[{highest}]}}." if highest >= 0 else "Use another field."
            )
            yield document.fault(path, "topic-level", message, remedy)
            return


def _output(
    document: Document, stream: str, output: tuple[str, str], subscriptions: list[_Subscription]
) -> Iterator[Fault]:
    kind, usual = output
    path: KeyPath = ("streams", stream, kind, "topic")
    template = value_at(document.data, "streams", stream, kind, "topic")
    if template is None:
        template = usual
    if not isinstance(template, str) or not template or document.is_broken(path):
        return
    written = document.quoted(path) if path in document.written else f'"{template}"'
    why = template_problem(template)
    if why is not None:
        message = f"{written} is no output topic: {why}."
        yield document.fault(path, "bad-topic", message, f"Write one such as {usual}.")
        return
    mine = [one for one in subscriptions if one.stream == stream]
    for level in topic_levels(template):
        yield from _too_deep(document, path, level, mine)
    for one in subscriptions:
        if can_match(one.address, template, stream):
            remedy = _alternative(kind, stream, subscriptions)
            yield _loop(document, path, written, (one, stream), remedy)
            return


def _loop(
    document: Document,
    path: KeyPath,
    written: str,
    met: tuple[_Subscription, str],
    remedy: str,
) -> Fault:
    one, stream = met
    whose, reads = f"stream {one.stream}'s subscription", "read its own results"
    if one.stream == stream:
        whose = "its own subscription"
    elif not one.stream:
        whose, reads = f"the topic of layer {one.path[1]}", "take its own results for fences"
    message = (
        f"{written} matches {whose} {one.written} (line {document.mark(one.path).line});"
        f" the service would {reads}."
    )
    return document.fault(path, "topic-loop", message, remedy)


def _alternative(kind: str, stream: str, subscriptions: list[_Subscription]) -> str:
    """Advice with a topic that no subscription matches, where there is one."""
    for template in _ALTERNATIVES[kind]:
        if not any(can_match(one.address, template, stream) for one in subscriptions):
            return f'Publish elsewhere, for example "{template}".'
    return "Subscribe to less: no topic is free of these subscriptions."


def _too_wide(document: Document, subscriptions: list[_Subscription]) -> dict[KeyPath, Fault]:
    """Subscriptions that match the service's own messages on status, health and layers."""
    given = value_at(document.data, "mqtt", "client_id")
    client_id = given if isinstance(given, str) else "geoweir"
    layers = [str(path[1]) for path, _ in find(document.data, "layers", EACH)]
    own = [("status", client_id), ("health", client_id), *(("layers", name) for name in layers)]
    faults = {}
    for one in subscriptions:
        for kind, name in own:
            if can_match(one.address, f"geoweir/{kind}/{name}", one.stream):
                message = (
                    f"{one.written} matches geoweir/{kind}/…;"
                    " the service would read its own messages."
                )
                remedy = "Subscribe to less, so that geoweir/# is left out."
                faults[one.path] = document.fault(one.path, "topic-loop", message, remedy)
    return faults
