"""The whole bench of one configuration: inputs, measurements, suggestions."""

from __future__ import annotations

import os
import platform
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from typing import Final

from geoweir.demo.broker import Kind
from geoweir.errors import UsageError
from geoweir.settings.machine import auto_workers, memory_bytes
from geoweir.settings.values import Settings
from geoweir.sizing.derived import setting_of
from geoweir.sizing.report import Report
from geoweir.sizing.rules import Configured, suggestions
from geoweir.sizing.sources import Recorded, Source, extents, generated, recorded
from geoweir.sizing.sweep import Reporter, Sweep
from geoweir.sizing.topics import UngeneratedError
from geoweir.sizing.trial import Bench
from geoweir.spatial.compiling.opening import resolved

__all__ = ["Inputs", "make_inputs", "measure"]

_GIB: Final = 2**30


@dataclass(frozen=True, slots=True)
class Inputs:
    """What is sent; ``left_out`` says why a stream gets nothing."""

    sources: Sequence[Source]
    left_out: Mapping[str, str]


def make_inputs(
    settings: Settings, samples: Mapping[str, tuple[str, Sequence[Recorded]]]
) -> Inputs:
    """Inputs of every stream: the recorded ones where there are any, else made-up ones.

    Args:
        settings: the user's.
        samples: name and payloads of a recording, by stream.

    Raises:
        UsageError: no stream has any.
        ConfigurationError: a layer can't be read.
    """
    sources: list[Source] = []
    left_out: dict[str, str] = {}
    extent = extents()
    layers = {layer.name: resolved(layer) for layer in settings.layers}
    for spec in settings.streams:
        try:
            if spec.name in samples:
                about, records = samples[spec.name]
                sources.append(recorded(spec, records, about))
            else:
                sources.append(generated(spec, layers, extent))
        except UngeneratedError as error:
            advice = f" Give --sample {spec.name}=FILE." if error.sample_helps else ""
            left_out[spec.name] = f"{error}.{advice}"
    if not sources:
        reasons = " ".join(f"stream {name}: {why}" for name, why in left_out.items())
        raise UsageError(f"there is nothing to send. {reasons}")
    sent = [spec for spec in settings.streams if spec.name not in left_out]
    return Inputs([source.among(sent) for source in sources], left_out)


async def measure(
    settings: Settings,
    config: str,
    inputs: Inputs,
    *,
    kind: Kind | None,
    seconds: float,
    progress: Reporter,
) -> Report:
    """Measures and suggests.

    Args:
        settings: the user's.
        config: the file that they come from.
        inputs: what is sent.
        kind: of the broker; None for the best that is here.
        seconds: for all of it, about.
        progress: told what is going on.
    """
    bench = Bench(settings, config, inputs.sources, kind)
    sweep = Sweep(bench, setting_of(settings), auto_workers(), seconds, progress)
    findings = await sweep.run()
    return Report(
        about=(
            _machine(),
            f"broker: {bench.broker}, of the bench's own",
            *(_about(source) for source in inputs.sources),
        ),
        left_out=dict(inputs.left_out),
        findings=findings,
        suggestions=tuple(
            suggestions(
                _configured(settings, inputs, bench.mean_bytes),
                findings.by_workers,
                findings.by_chunk,
                findings.by_queue,
            )
        ),
    )


def _configured(settings: Settings, inputs: Inputs, mean_bytes: float) -> Configured:
    shares = [source.share for source in inputs.sources]
    return Configured(
        workers=settings.pool.workers,
        chunk=settings.pool.chunk,
        queue=settings.queue_limit,
        timeout_s=settings.pool.timeout_s,
        memory=settings.pool.memory,
        receive_window=settings.mqtt.receive_window,
        receive_bytes=settings.mqtt.receive_bytes,
        busiest_share=max(shares) / sum(shares),
        payload_bytes=mean_bytes,
        machine_bytes=memory_bytes(),
    )


def _machine() -> str:
    cores = len(os.sched_getaffinity(0))
    memory = memory_bytes() / _GIB
    return (
        f"geoweir {version('geoweir')}, Python {platform.python_version()}, {platform.machine()}, "
        f"{cores} core{'' if cores == 1 else 's'}, {memory:.1f} GiB"
    )


def _about(source: Source) -> str:
    return f"stream {source.stream}: {source.about}"
