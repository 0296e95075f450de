"""What a configuration asks of the memory that this machine, or its container, has."""

from __future__ import annotations

from geoweir.settings.machine import auto_workers, memory_bytes, memory_limit
from geoweir.settings.memory import Demand, MemoryPlan, share_memory
from geoweir.settings.models.root import Config

__all__ = ["KEPT_IN_MEMORY", "budget"]

#: Dropped inputs that are kept where the configuration names neither file nor size.
KEPT_IN_MEMORY = 8_000_000


def budget(config: Config) -> MemoryPlan:
    """Who may have how much of the smallest limit there is.

    That is ``memory``, a control group's, or the machine's own. What the configuration gives
    outright is kept; what it leaves out follows from the limit.
    """
    group, machine = memory_limit(), memory_bytes()
    limits = [limit for limit in (config.memory, group, machine) if limit is not None]
    limit = min(limits)
    return share_memory(limit, _demand(config), is_enforced=limit in {group, machine})


def _demand(config: Config) -> Demand:
    pool, keep = config.pool, config.state.keep
    is_kept = config.state.path is None and (keep.rejected or keep.reconciled)
    live = (layer.limits.total for layer in config.layers.values() if layer.topic is not None)
    return Demand(
        streams=len(config.streams),
        workers=pool.workers,
        auto_workers=auto_workers(),
        worker=pool.memory if "memory" in pool.model_fields_set else None,
        kept=(KEPT_IN_MEMORY if keep.size is None else keep.size) if is_kept else 0,
        live=sum(live),
    )
