"""The worker's filter: by an interpreter of its instructions, and by the kernel."""

from __future__ import annotations

import errno
import json
import platform
import re
import struct
import subprocess
import sys
from pathlib import Path

import pytest

from geoweir.pool.sandbox import MACHINES, Machine, program

PID = 4321
KILL, ALLOW = 0x8000_0000, 0x7FFF_0000
REFUSE = 0x0005_0000 | errno.EPERM
_HEADERS = {
    "x86_64": Path("/usr/include/x86_64-linux-gnu/asm/unistd_64.h"),
    "aarch64": Path("/usr/include/asm-generic/unistd.h"),
}
both = pytest.mark.parametrize("name", MACHINES)


def judged(
    machine: Machine, number: int, *arguments: int, opens: bool = False, audit: int = 0
) -> int:
    """What the filter answers to a call: classic BPF on ``struct seccomp_data``."""
    padded = (*arguments, *(0,) * (6 - len(arguments)))
    data = struct.pack("<IIQ6Q", number, audit or machine.audit, 0, *padded)
    code = [struct.unpack("<HBBI", one) for one in program(machine, PID, opens=opens)]
    at = word = 0
    while True:
        operation, if_true, if_false, value = code[at]
        at += 1
        match operation:
            case 0x20:
                (word,) = struct.unpack_from("<I", data, value)
            case 0x15:
                at += if_true if word == value else if_false
            case 0x45:
                at += if_true if word & value else if_false
            case 0x06:
                return int(value)
            case _:
                raise AssertionError(operation)


@both
def test_t25_what_is_listed_is_allowed_and_everything_else_refused(name: str) -> None:
    machine = MACHINES[name]
    allowed = set(machine.allowed.values())
    for number in range(1024):
        if number in machine.to_self.values():
            continue
        assert judged(machine, number) == (ALLOW if number in allowed else REFUSE), number
    assert judged(machine, 0x4000_0000 | machine.allowed["read"]) == REFUSE  # x32's numbers


@both
def test_t25_a_call_of_another_kind_ends_the_process(name: str) -> None:
    machine = MACHINES[name]
    assert judged(machine, machine.allowed["read"], audit=0x4000_0003) == KILL  # i386


@both
def test_t25_signals_go_to_ourselves_only(name: str) -> None:
    machine = MACHINES[name]
    for number in machine.to_self.values():
        assert judged(machine, number, PID, 9) == ALLOW
        assert judged(machine, number, 1, 9) == REFUSE
        assert judged(machine, number, 0xFFFF_FFFF, 9) == REFUSE  # -1: everybody


@both
def test_t25_files_are_opened_for_reading_where_rasters_are_and_nowhere_else(name: str) -> None:
    machine = MACHINES[name]
    reading, cloexec = 0, 0o2000000
    assert judged(machine, machine.openat, 0, 0, reading) == REFUSE
    assert judged(machine, machine.openat, 0, 0, reading | cloexec, opens=True) == ALLOW
    for flags in (0o1, 0o2, 0o100, 0o1000, 0o20200000):
        assert judged(machine, machine.openat, 0, 0, flags | cloexec, opens=True) == REFUSE


@both
def test_the_numbers_are_the_kernels(name: str) -> None:
    header = _HEADERS[name]
    if not header.exists():
        pytest.skip(f"no kernel headers: {header}")
    text = header.read_text()
    numbers = {
        call: int(number)
        for call, number in re.findall(r"#define __NR(?:3264)?_(\w+)\s+(\d+)", text)
    }
    numbers |= {"newfstatat": numbers.get("fstatat", numbers.get("newfstatat", -1))}
    machine = MACHINES[name]
    others = {"seccomp": machine.seccomp, "openat": machine.openat}
    listed = {**machine.allowed, **machine.to_self, **others}
    assert {call: numbers.get(call) for call in listed} == listed


_TRIES = """
import json, os, signal, socket, subprocess, sys, threading
from geoweir.pool.sandbox import enter

tries = {
    "open": lambda: open("/etc/passwd").close(),
    "create": lambda: open("/tmp/geoweir-sandbox", "w").close(),
    "socket": lambda: socket.socket().close(),
    "exec": lambda: os.execv("/bin/true", ["true"]),
    "run": lambda: subprocess.run(["/bin/true"]),
    "fork": lambda: os._exit(0) if os.fork() == 0 else None,
    "kill": lambda: os.kill(os.getppid(), 0),
    "kill group": lambda: os.kill(0, 0),
    "unlink": lambda: os.unlink("/tmp/none"),
    "environ of others": lambda: os.open(f"/proc/{os.getppid()}/environ", os.O_RDONLY),
    "memfd": lambda: os.memfd_create("x"),
    "thread": lambda: threading.Thread(target=print).start(),
}
how = enter(json.loads(sys.argv[1]))
said = {"how": how}
for name, attempt in tries.items():
    try:
        attempt()
        said[name] = "done"
    except BaseException as error:
        said[name] = getattr(error, "errno", None) or type(error).__name__
import math
said["computes"] = math.factorial(20) and len(bytearray(50_000_000))
try:
    said["python"] = len(open(os.__file__).read()) > 0
except OSError as error:
    said["python"] = error.errno
print(json.dumps(said), flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""


def tried(*folders: Path) -> tuple[dict[str, object], int]:
    done = subprocess.run(
        [sys.executable, "-c", _TRIES, json.dumps(list(map(str, folders)))],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.stdout, done.stderr
    said: dict[str, object] = json.loads(done.stdout)
    if str(said["how"]).startswith("none"):
        pytest.skip(f"this kernel has no sandbox: {said['how']}")
    return said, done.returncode


needs_list = pytest.mark.skipif(
    platform.machine() not in MACHINES, reason="no list for this machine"
)


@needs_list
def test_t25_the_kernel_refuses_all_that_no_chunk_needs() -> None:
    said, status = tried()
    assert said.pop("how") == "seccomp"
    assert said.pop("computes") == 50_000_000
    assert said.pop("thread") == "RuntimeError"
    assert set(said.values()) == {errno.EPERM}, said
    assert status == -9  # which it may still do to itself


@needs_list
def test_t25_with_rasters_read_in_parts_files_are_read_in_their_folders_only(
    tmp_path: Path,
) -> None:
    said, _ = tried(tmp_path)
    assert said["python"] is True
    assert said["create"] == errno.EPERM
    if said["how"] == "seccomp, Landlock":
        assert said["open"] == errno.EACCES
    else:
        assert "to be read anywhere" in str(said["how"])
