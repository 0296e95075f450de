"""Whether the processor is slowed down or starved of voltage, as far as anybody says so.

A Raspberry Pi's firmware throttles without a word in cpufreq (raspberrypi/linux 2986): its own
flags and the voltage alarm of its hwmon driver say it. On other boards the kernel's cooling devices
do.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

from geoweir.telemetry.gateway.sysfs import entries, number, text

__all__ = ["frequency_hz", "is_throttled", "is_undervolted"]

#: Vendor kernels: hexadecimal; bit 0 voltage, 1 capped, 2 throttled, 3 soft limit, all of now.
_FLAGS: Final = "sys/devices/platform/soc/soc:firmware/get_throttled"
_VOLTAGE: Final = 0b0001
_SLOWED: Final = 0b1110


def is_throttled(root: Path) -> bool:
    """Whether kernel or firmware say that they slow the processor down now."""
    flags = number(root / _FLAGS, 16)
    if flags is not None and flags & _SLOWED:
        return True
    for device in entries(root / "sys/class/thermal", "cooling_device"):
        kind = text(device / "type") or ""
        if ("cpufreq" in kind or kind == "Processor") and (number(device / "cur_state") or 0) > 0:
            return True
    return False


def is_undervolted(root: Path) -> bool | None:
    """Whether a Raspberry Pi's supply is too weak now; None where nobody watches it."""
    for chip in entries(root / "sys/class/hwmon", "hwmon"):
        if text(chip / "name") == "rpi_volt":
            alarm = number(chip / "in0_lcrit_alarm")
            if alarm is not None:
                return alarm != 0
    flags = number(root / _FLAGS, 16)
    return None if flags is None else bool(flags & _VOLTAGE)


def frequency_hz(root: Path) -> float | None:
    """What the fastest cores were last asked to run at; firmware may have them run slower."""
    fastest: tuple[int, int] | None = None
    for policy in entries(root / "sys/devices/system/cpu/cpufreq", "policy"):
        now = number(policy / "scaling_cur_freq")
        if now is not None:
            most = number(policy / "cpuinfo_max_freq") or 0
            fastest = max(fastest or (0, 0), (most, now))
    return None if fastest is None else fastest[1] * 1000.0
