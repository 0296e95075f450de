"""``geoweir audit`` as its users have it: a process, and the report that it printed."""

from __future__ import annotations

import contextlib
import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from support.eventually import eventually
from support.service import Geoweir, clean_environment

__all__ = ["Audit", "audited"]


@dataclass(frozen=True, slots=True)
class Audit:
    """An audit that follows the topics already."""

    process: subprocess.Popen[str]
    log: Path

    def end(self) -> dict[str, Any]:
        """Ends it; its report."""
        self.process.send_signal(signal.SIGTERM)
        out, _ = self.process.communicate(timeout=30)
        assert self.process.returncode == 0, self.log.read_text()
        report: dict[str, Any] = json.loads(out)
        return report


@contextlib.contextmanager
def audited(service: Geoweir) -> Iterator[Audit]:
    """Runs an audit of a service."""
    log = service.folder / "audit.log"
    with (
        log.open("w") as errors,
        subprocess.Popen(
            [sys.executable, "-m", "geoweir", "audit", "-c", str(service.file), "--json"],
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
            cwd=service.folder,
            env=clean_environment(),
        ) as process,
    ):
        try:
            eventually(
                lambda: "follows the topics" in log.read_text() or process.poll() is not None,
                30,
                log.read_text,
            )
            assert process.poll() is None, log.read_text()
            yield Audit(process, log)
        finally:
            process.kill()
