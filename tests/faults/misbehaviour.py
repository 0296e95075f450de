"""Chains that do what their payloads say, in a real worker process."""

from __future__ import annotations

import contextlib
import ctypes
import itertools
import os
import signal
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from geoweir.core.spec import Reference, WorkerSpec
from geoweir.core.work import ChunkDone, ChunkWork, MessageKind, OutMessage
from geoweir.errors import ConfigurationError

CHAINS: Final = "faults.misbehaviour:chains"
_LAYER_BYTES: Final = 100_000_000


def open_reference(_: WorkerSpec, reference: Reference, descriptor: int) -> bytes:
    """A file's content, of which the first word says what happens when it is opened."""
    content = os.pread(descriptor, 1000, 0)
    match content.split(b" ")[0]:
        case b"bad":
            raise ConfigurationError(f"{reference.name} is damaged")
        case b"large":
            return b"x" * _LAYER_BYTES
        case b"fatal":
            os._exit(3)
        case b"slow":
            time.sleep(3600)
        case _:
            pass
    return content


def chains(_: WorkerSpec, held: Mapping[Reference, Any]) -> Sequence[Obedient]:
    """One chain that obeys."""
    return [Obedient(held)]


class Obedient:
    """Does what each payload says; published with the answer as the message's payload."""

    def __init__(self, held: Mapping[Reference, Any]) -> None:
        self._held = held
        self._kept: list[bytearray] = []

    def run(self, work: ChunkWork) -> ChunkDone:
        messages = [
            OutMessage(index, MessageKind.RESULT, "out", self._obey(payload), "")
            for index, payload in enumerate(work.payloads)
        ]
        return ChunkDone(bytes(len(messages)), messages, features=len(messages))

    def _obey(self, payload: bytes) -> bytes:
        words = payload.decode("latin-1").split(" ")
        act: Callable[..., object] | None = _ACTS.get(words[0])
        if act is not None:
            act(*words[1:])
        match words[0]:
            case "keep":
                self._kept.append(bytearray(b"x") * int(words[1]))
            case "layer" | "raster" as kind:
                return bytes(self._held[Reference(kind, words[1])])
            case name if name in _TELL:
                return _TELL[name]()
            case _:
                pass
        return payload


def _status() -> bytes:
    me = Path("/proc/self")
    scores = f"oom_score_adj {(me / 'oom_score_adj').read_text().strip()} nice {os.nice(0)}"
    return (me / "limits").read_bytes() + scores.encode()


def _eat() -> None:
    list(map(bytearray.copy, itertools.repeat(bytearray(b"x") * 8_000_000)))


def _spin() -> None:
    sum(itertools.repeat(0))  # one C call that never ends and keeps the GIL


def _say(data: bytes) -> None:
    for link in Path("/proc/self/fd").iterdir():
        with contextlib.suppress(OSError):
            if str(link.readlink()).startswith("socket:"):
                os.write(int(link.name), data)


def _leave_child() -> None:
    if os.fork() == 0:  # it holds the worker's socket open
        time.sleep(3)
        os._exit(0)


def _panic() -> None:
    raise BaseException("like a Rust panic")  # noqa: TRY002


def _raise() -> None:
    raise RuntimeError("a step's fault")


def _refuse_memory() -> None:
    bytearray(1 << 60)


_ACTS: Final[dict[str, Callable[..., object]]] = {
    "sleep": lambda seconds: time.sleep(float(seconds)),
    "spin": _spin,
    "segfault": lambda: ctypes.string_at(0),
    "exit": lambda: os._exit(7),
    "kill": lambda: os.kill(os.getpid(), signal.SIGKILL),
    "stop": lambda: os.kill(os.getpid(), signal.SIGSTOP),
    "eat": _eat,
    "panic": _panic,
    "raise": _raise,
    "refuse-memory": _refuse_memory,
    "say": lambda text: _say(bytes.fromhex(text)),
    "leave-child": _leave_child,
    "system-exit": lambda: sys.exit(0),
}

_TELL: Final[dict[str, Callable[[], bytes]]] = {
    "pid": lambda: str(os.getpid()).encode(),
    "modules": lambda: " ".join(sys.modules).encode(),
    "environment": lambda: " ".join(os.environ).encode(),
    "status": _status,
}
