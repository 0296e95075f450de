"""The service as its users have it: a process, a configuration file, and its HTTP pages."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from prometheus_client.parser import text_string_to_metric_families

from support.eventually import eventually

__all__ = ["Geoweir", "clean_environment", "command", "descendants", "private_bytes", "workers"]

_READY = "geoweir is ready: "


def clean_environment(**more: str) -> dict[str, str]:
    """This environment without what geoweir would read of it, but for the kernel's switch."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith("GEOWEIR_") or name == "GEOWEIR_KERNEL"
    }
    return kept | more


def command(
    *arguments: str, folder: Path, seconds: float = 30, **environment: str
) -> subprocess.CompletedProcess[str]:
    """One run of the command line that ends by itself."""
    return subprocess.run(
        [sys.executable, "-m", "geoweir", *arguments],
        cwd=folder,
        env=clean_environment(**environment),
        capture_output=True,
        text=True,
        timeout=seconds,
        check=False,
    )


class Geoweir:
    """``geoweir run -c FILE``; may be started again after its end.

    Args:
        config: the configuration, plain values or YAML text.
        folder: where its file, and the users' modules beside it, stand.
    """

    def __init__(
        self,
        config: Mapping[str, Any] | str,
        folder: Path,
        *,
        arguments: Sequence[str] = (),
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self.folder = folder
        self.file = folder / "geoweir.yaml"
        self.arguments = tuple(arguments)
        self.environment = dict(environment or {})
        self.command: list[str] = []  # what goes before the interpreter
        self.url = ""
        self.process: subprocess.Popen[bytes] | None = None
        self._errors = folder / "geoweir.log"
        self._output = folder / "geoweir.out"
        self.configure(config)

    def configure(self, config: Mapping[str, Any] | str) -> None:
        """Writes the configuration for the next start."""
        if not isinstance(config, str):
            listening = {"http": {"listen": "127.0.0.1:0"}} | dict(config)
            config = json.dumps(listening, indent=1)  # JSON is YAML
        self.file.write_text(config, encoding="utf-8")

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.kill()
        if error is not None:
            error.add_note(f"the service's log ended with:\n{self.log()[-3000:]}")

    def launch(self) -> Self:
        """Starts the process without waiting for it."""
        with self._errors.open("ab") as errors, self._output.open("wb") as output:
            self.process = subprocess.Popen(
                [
                    *self.command,
                    *(sys.executable, "-m", "geoweir", "run", "-c", str(self.file)),
                    *self.arguments,
                ],
                stdout=output,
                stderr=errors,
                env=clean_environment(**self.environment),
                cwd=self.folder,
            )
        return self

    def start(self, seconds: float = 60) -> Self:
        """Starts the process and waits until it says that it is ready."""
        return self.launch().wait_ready(seconds)

    def wait_ready(self, seconds: float = 60) -> Self:
        """Waits until the process says that it is ready."""
        eventually(lambda: _READY in self.output() or not self.is_running(), seconds, self.log)
        assert self.is_running(), f"the service ended at its start: {self.log()[-3000:]}"
        (line,) = [x for x in self.output().splitlines() if x.startswith(_READY)]
        self.url = line.removeprefix(_READY).strip().rstrip("/")
        return self

    @property
    def pid(self) -> int:
        """The service's process."""
        assert self.process is not None
        return self.process.pid

    def is_running(self) -> bool:
        """Whether the process is there."""
        return self.process is not None and self.process.poll() is None

    def log(self) -> str:
        """Everything on standard error, of all starts."""
        return self._errors.read_text(errors="replace") if self._errors.exists() else ""

    def output(self) -> str:
        """Everything on standard output since the last start."""
        return self._output.read_text(errors="replace") if self._output.exists() else ""

    def get(self, path: str) -> bytes:
        """A page."""
        with urllib.request.urlopen(self.url + path, timeout=10) as answer:  # noqa: S310
            return bytes(answer.read())

    def account(self) -> dict[str, Any]:
        """``/api/account``."""
        found: dict[str, Any] = json.loads(self.get("/api/account"))
        return found

    def stream(self, name: str) -> dict[str, Any]:
        """One stream's part of the account."""
        found: dict[str, Any] = self.account()["streams"][name]
        return found

    def watchers(self) -> int:
        """How many watch what goes through."""
        return int(json.loads(self.get("/api/state"))["watchers"])

    def settled(self) -> int:
        """Inputs of all streams with an outcome."""
        return sum(map(outcomes_of, self.account()["streams"].values()))

    def metric(self, name: str, **labels: str) -> float:
        """The sum of a metric's samples that have these labels."""
        return sum(
            sample.value
            for family in text_string_to_metric_families(self.get("/metrics").decode())
            for sample in family.samples
            if sample.name == name and labels.items() <= sample.labels.items()
        )

    def wait_settled(self, count: int, seconds: float = 60) -> dict[str, Any]:
        """Waits until so many inputs have an outcome; the account."""
        eventually(lambda: self.settled() >= count, seconds, lambda: (self.account(), self.log()))
        return self.account()

    def signal(self, number: int) -> None:
        """Sends a signal to the service's process."""
        assert self.process is not None
        self.process.send_signal(number)

    def wait(self, seconds: float = 30) -> int:
        """Waits for the end; the exit status."""
        assert self.process is not None
        return self.process.wait(seconds)

    def stop(self, seconds: float = 30) -> int:
        """An orderly end; the exit status."""
        self.signal(signal.SIGTERM)
        return self.wait(seconds)

    def kill(self) -> None:
        """Ends the process at once, if it is still there."""
        if self.process is not None and self.process.poll() is None:
            self.process.kill()
            self.process.wait(10)


def outcomes_of(stream: Mapping[str, Any]) -> int:
    return sum(int(stream[o]) for o in ("published", "filtered", "rejected", "reconciled"))


def _parents() -> Iterator[tuple[int, int]]:
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            with contextlib.suppress(OSError):
                status = (folder / "stat").read_text().rpartition(")")[2].split()
                if status[0] != "Z":
                    yield int(folder.name), int(status[1])


def descendants(pid: int) -> list[int]:
    """Processes below one, zombies left out."""
    children: dict[int, list[int]] = {}
    for child, parent in _parents():
        children.setdefault(parent, []).append(child)
    found: list[int] = []
    waiting = [pid]
    while waiting:
        below = children.get(waiting.pop(), [])
        found += below
        waiting += below
    return found


def workers(service: Geoweir) -> list[int]:
    """The worker processes: children of the forkserver."""
    found = []
    for pid in descendants(service.pid):
        with contextlib.suppress(OSError):
            status = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
            if int(status[1]) != service.pid:
                found.append(pid)
    return found


def private_bytes(pid: int) -> int:
    """Resident less shared memory of a process."""
    pages = (Path("/proc") / str(pid) / "statm").read_text().split()
    return (int(pages[1]) - int(pages[2])) * os.sysconf("SC_PAGESIZE")
