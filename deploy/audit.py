"""Looks for known faults in what the image holds: ``make audit``.

pip-audit calls a list clean of which it could look at nothing. So here every package is one of
three: *clean*, *faulty*, or *not audited*, with the reason. Exit status: 0 all clean, 1 a fault is
known, 3 something could not be looked at.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

__all__ = ["Audit", "judged"]

LOCKS: Final = Path(__file__).parent.parent / "docker"
_TIMEOUT_S: Final = 300
_FAULTY: Final = 1
_NOT_AUDITED: Final = 3


@dataclass
class Audit:
    """What became of each package, as name and version."""

    clean: list[str] = field(default_factory=list)
    faulty: dict[str, list[str]] = field(default_factory=dict)
    skipped: dict[str, str] = field(default_factory=dict)

    def status(self) -> int:
        """The exit status."""
        if self.faulty:
            return _FAULTY
        return _NOT_AUDITED if self.skipped or not self.clean else 0


def judged(report: dict[str, Any]) -> Audit:
    """What a report of pip-audit (``--format json``) really says."""
    audit = Audit()
    for one in report.get("dependencies", ()):
        name = " ".join(filter(None, (one["name"], one.get("version"))))
        if faults := [fault["id"] for fault in one.get("vulns", ())]:
            audit.faulty[name] = faults
        elif "skip_reason" in one or "vulns" not in one:
            audit.skipped[name] = one.get("skip_reason", "no answer")
        else:
            audit.clean.append(name)
    return audit


def main() -> int:
    """The command."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("lock", nargs="*", type=Path, default=sorted(LOCKS.glob("*.lock")))
    args = parser.parse_args()
    worst = 0
    for lock in args.lock:
        audit = _asked(lock)
        for name, faults in audit.faulty.items():
            print(f"{lock.name}: {name}: {', '.join(faults)}")
        for name, why in audit.skipped.items():
            print(f"{lock.name}: {name}: not audited, {' '.join(why.split())[:200]}")
        print(
            f"{lock.name}: {len(audit.clean)} clean, {len(audit.faulty)} faulty, "
            f"{len(audit.skipped)} not audited"
        )
        if not worst or audit.faulty:
            worst = audit.status()
    return worst


def _asked(lock: Path) -> Audit:
    command = [sys.executable, "-m", "pip_audit", "--format=json", "--progress-spinner=off"]
    command += ["--disable-pip", "--no-deps", "--requirement", str(lock)]
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, check=False, timeout=_TIMEOUT_S
        )
        report: dict[str, Any] = json.loads(done.stdout)
    except (subprocess.TimeoutExpired, ValueError):
        return Audit(skipped={"everything": "the source of advisories gave no answer"})
    return judged(report)


if __name__ == "__main__":
    sys.exit(main())
