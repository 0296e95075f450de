"""What each of several processes runs: one configuration, split. Pure.

A stream that keeps nothing between inputs is shared: every process subscribes to it under
``$share``, and the broker deals its inputs out. A stream that keeps state runs whole in one
process. Each process has a client id of its own that never changes, since the broker binds what it
dealt to a process to that process's session.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from geoweir.core.spec import StreamSpec, keeps_state
from geoweir.errors import UsageError
from geoweir.settings.memory import divide_memory
from geoweir.settings.values import Settings, SpillSettings

__all__ = ["client_id", "loses_retained", "split", "state_path"]

_SHARE = "$share/"


def split(settings: Settings, processes: int, auto_workers: int) -> tuple[Settings, ...]:
    """The settings of each process.

    Args:
        settings: the configuration's.
        processes: how many.
        auto_workers: what ``pool.workers: auto`` means for each of them.

    Raises:
        UsageError: there is no work, or no memory, for so many.
    """
    streams = _shared(settings)
    parts = tuple(
        tuple(
            shared
            for number, (stream, shared) in enumerate(zip(settings.streams, streams, strict=True))
            if not keeps_state(stream) or number % processes == index
        )
        for index in range(processes)
    )
    busy = sum(map(bool, parts))
    if busy < processes:
        raise UsageError(
            f"--processes {processes}: every stream keeps state per id, so each runs whole in one "
            f"process, and there is work for {busy} only. Write --processes {busy}."
        )
    pool, memory, window = settings.pool, settings.memory, settings.mqtt.receive_bytes
    if settings.are_workers_auto:
        pool = replace(pool, workers=auto_workers)
    if memory is not None:
        memory = divide_memory(memory, processes, auto_workers)
        if not memory.fits:
            raise UsageError(
                f"--processes {processes}: each needs {memory.text()}, and has "
                f"{memory.limit / 1e6:.0f}MB. Write fewer, or less pool.memory or pool.workers."
            )
        pool = replace(pool, workers=memory.workers, memory=memory.worker)
        window = memory.window
    return tuple(
        replace(
            settings,
            mqtt=replace(settings.mqtt, client_id=client_id(settings, index), receive_bytes=window),
            memory=memory,
            streams=part,
            pool=pool,
            state=replace(settings.state, path=state_path(settings, index)),
            spill=_spill(settings, index),
        )
        for index, part in enumerate(parts)
    )


def client_id(settings: Settings, index: int) -> str:
    """The stable client id of one process."""
    return f"{settings.mqtt.client_id}-p{index}"


def state_path(settings: Settings, index: int) -> str | None:
    """The state's file of one process: each has its own, since each has its own inputs."""
    path = settings.state.path
    return None if path is None else f"{path}-p{index}"


def _spill(settings: Settings, index: int) -> SpillSettings | None:
    """The spill of one process: a folder within the service's."""
    spill = settings.spill
    return None if spill is None else replace(spill, path=f"{spill.path}/p{index}")


def loses_retained(settings: Settings) -> list[str]:
    """Streams that accept retained messages, which never come over a shared subscription."""
    return [
        stream.name
        for stream, shared in zip(settings.streams, _shared(settings), strict=True)
        if stream.retained == "accept" and shared != stream
    ]


def _shared(settings: Settings) -> Sequence[StreamSpec]:
    """Every stream, with shared subscriptions where it keeps no state."""
    taken: set[str] = set()
    return [
        stream
        if keeps_state(stream)
        else replace(
            stream, subscribe=tuple(_share(settings.mqtt.client_id, stream, filters=taken))
        )
        for stream in settings.streams
    ]


def _share(group: str, stream: StreamSpec, *, filters: set[str]) -> Iterator[str]:
    """The stream's filters in a group; two streams with one filter must both get every message."""
    for text in stream.subscribe:
        if text.startswith(_SHARE):
            yield text
        else:
            own = f"{group}-{stream.name}" if text in filters else group
            filters.add(text)
            yield f"{_SHARE}{own}/{text}"
