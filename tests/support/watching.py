"""``geoweir tap`` as its users have it: a process, and the lines that it printed."""

from __future__ import annotations

import json
import subprocess
import sys
from types import TracebackType
from typing import Any, Self

from support.eventually import eventually
from support.service import Geoweir, clean_environment

__all__ = ["Tap"]


class Tap:
    """A tap on a running service, which watches when the block begins."""

    def __init__(self, service: Geoweir, *arguments: str, name: str = "tap") -> None:
        self._service = service
        self._arguments = ("--url", service.url, *arguments)
        self._output = service.folder / f"{name}.out"
        self._errors = service.folder / f"{name}.err"
        self.process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        before = self._service.watchers()
        with self._output.open("wb") as output, self._errors.open("wb") as errors:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "geoweir", "tap", *self._arguments],
                stdout=output,
                stderr=errors,
                env=clean_environment(),
            )
        eventually(lambda: self._service.watchers() > before, why=self.errors)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self.running.poll() is None:
            self.running.kill()
            self.running.wait(10)

    @property
    def running(self) -> subprocess.Popen[bytes]:
        """The process."""
        assert self.process is not None
        return self.process

    def errors(self) -> str:
        """Everything on standard error."""
        return self._errors.read_text(errors="replace")

    def raw(self) -> bytes:
        """Everything on standard output."""
        return self._output.read_bytes()

    def lines(self) -> list[str]:
        """The whole lines on standard output."""
        whole, _, _ = self.raw().rpartition(b"\n")
        return whole.decode().split("\n") if whole else []

    def features(self) -> list[dict[str, Any]]:
        """The lines of ``--json``."""
        return [json.loads(line) for line in self.lines()]

    def wait_lines(self, count: int, seconds: float = 30) -> list[str]:
        """Waits until there are so many lines."""
        return eventually(
            lambda: found if len(found := self.lines()) >= count else [],
            seconds,
            lambda: (count, self.lines()[-5:], self.errors()),
        )
