"""The C kernel, where there is one."""

from __future__ import annotations

import os
from typing import Any, Final

__all__ = ["INTERFACE", "ffi", "has_kernel", "lib"]

INTERFACE: Final = 4  # as in probe.c


def _load() -> tuple[Any, Any]:
    """The kernel, unless it wasn't built, is of another version, or GEOWEIR_KERNEL=off."""
    if os.environ.get("GEOWEIR_KERNEL") == "off":
        return None, None
    try:
        from geoweir.spatial.kernel import _kernel  # type: ignore[attr-defined]  # noqa: PLC0415
    except ImportError:
        return None, None
    if _kernel.lib.gw_interface() != INTERFACE:
        return None, None
    return _kernel.ffi, _kernel.lib


#: cffi's two halves; None without a kernel.
ffi, lib = _load()


def has_kernel() -> bool:
    """Whether there is a kernel; without one shapely gives the same answers."""
    return lib is not None
