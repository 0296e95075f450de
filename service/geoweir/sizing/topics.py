"""Topics that devices of a stream would publish on, made from what the stream subscribes to."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from geoweir.codec.paths import TopicLevel, parse_path
from geoweir.core.spec import Fields, StreamSpec
from geoweir.settings.topics import address_filter, can_match, topic_levels

__all__ = ["UngeneratedError", "copies", "input_topic", "needed_levels", "output_filter"]

_OWNTRACKS: Final = "owntracks"


class UngeneratedError(Exception):
    """Why a stream gets no inputs; ``sample_helps``: recorded ones would do."""

    def __init__(self, why: str, *, sample_helps: bool = True) -> None:
        super().__init__(why)
        self.sample_helps = sample_helps


def input_topic(
    topic_filter: str, device: str, values: Mapping[int, str], levels: int, *, is_owntracks: bool
) -> str:
    """A topic that a filter matches.

    Args:
        topic_filter: as subscribed to, ``$share/group/`` included.
        device: what stands for a wildcard.
        values: what stands for the wildcard of a level instead.
        levels: how many the topic has at least, where the filter leaves that open.
        is_owntracks: the topic names user and device, as OwnTracks has it.

    Raises:
        UngeneratedError: nobody may publish on what the filter matches.
    """
    wanted = address_filter(topic_filter).split("/")
    if wanted[0].startswith("$"):
        why = f'nobody publishes on "{topic_filter}" but the broker'
        raise UngeneratedError(why, sample_helps=False)
    fill = dict(values)
    if is_owntracks:
        place = _owntracks_level(wanted)
        fill = {place: _OWNTRACKS, place + 1: "bench", place + 2: device} | fill
        levels = max(levels, place + 3)
    if wanted[-1] == "#":
        open_levels = max(levels - len(wanted) + 1, 1)
        wanted = [*wanted[:-1], *["+"] * open_levels]
    return "/".join(
        fill.get(number, device) if level == "+" else level for number, level in enumerate(wanted)
    )


def _owntracks_level(wanted: Sequence[str]) -> int:
    if _OWNTRACKS in wanted:
        return wanted.index(_OWNTRACKS)
    return next((n for n, level in enumerate(wanted) if level in {"+", "#"}), 0)


def needed_levels(spec: StreamSpec) -> int:
    """How many levels a topic must have for every ``{topic[N]}`` of the stream."""
    templates = (spec.publish.topic, spec.rejected.topic, spec.reconcile.topic)
    numbers = [number for text in templates for number in topic_levels(text)]
    return max([*numbers, *_field_levels(spec.fields)], default=-1) + 1


def _field_levels(fields: Fields) -> list[int]:
    texts = (fields.id, fields.time, fields.x, fields.y, fields.z)
    paths = [parse_path(text) for text in texts if text is not None]
    return [path.level for path in paths if isinstance(path, TopicLevel)]


def copies(topic: str, streams: Iterable[StreamSpec]) -> int:
    """How many streams would get a message on the topic."""
    return sum(
        any(can_match(address_filter(text), topic, "") for text in stream.subscribe)
        for stream in streams
    )


def output_filter(stream: StreamSpec) -> str:
    """The filter that matches every result of a stream."""
    levels = stream.publish.topic.replace("{stream}", stream.name).split("/")
    return "/".join("+" if "{" in level else level for level in levels)
