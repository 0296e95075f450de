"""A gateway's sysfs in a folder, whose readings the test sets."""

from __future__ import annotations

from pathlib import Path

__all__ = ["Sysfs", "cpu_gateway"]


class Sysfs:
    """Files below a root; ``write`` replaces one as a whole, as a driver does."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def write(self, name: str, text: object) -> None:
        """Sets a file's text."""
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        fresh = path.with_name(f".{path.name}")
        fresh.write_text(f"{text}\n", encoding="ascii")
        fresh.replace(path)

    def zone(self, index: int, kind: str, celsius: float, **trips: int) -> None:
        """A thermal zone; trips by type, in degrees."""
        zone = f"sys/class/thermal/thermal_zone{index}"
        self.write(f"{zone}/type", kind)
        self.warm(celsius, index)
        for trip, (name, degrees) in enumerate(trips.items()):
            self.write(f"{zone}/trip_point_{trip}_type", name)
            self.write(f"{zone}/trip_point_{trip}_temp", degrees * 1000)

    def warm(self, celsius: float, index: int = 0) -> None:
        """Sets a zone's temperature."""
        self.write(f"sys/class/thermal/thermal_zone{index}/temp", round(celsius * 1000))


def cpu_gateway(root: Path, celsius: float = 50.0) -> Sysfs:
    """A board like a Raspberry Pi, with a hotter zone that is not the processor's."""
    made = Sysfs(root)
    made.zone(0, "cpu-thermal", celsius, critical=110, passive=80)
    made.zone(1, "PMIC-Die", 100.0, passive=60)
    made.write("sys/devices/system/cpu/cpufreq/policy0/scaling_cur_freq", 1_500_000)
    made.write("sys/devices/system/cpu/cpufreq/policy0/cpuinfo_max_freq", 1_800_000)
    made.write("sys/class/hwmon/hwmon1/name", "rpi_volt")
    made.write("sys/class/hwmon/hwmon1/in0_lcrit_alarm", 0)
    for resource in ("cpu", "memory", "io"):
        made.write(
            f"proc/pressure/{resource}",
            "some avg10=12.50 avg60=3.00 avg300=1.00 total=99\n"
            "full avg10=0.00 avg60=0.00 avg300=0.00 total=0",
        )
    return made
