"""What a worker may still do once it is ready: compute, and talk to the service.

A worker runs on bytes from strangers, through large libraries and the users' own steps. So before
its first chunk it gives up, for good, everything that a chunk does not need: opening files,
sockets, other programs, new processes and threads, signals to others. The kernel refuses that with
``EPERM``, which is an ordinary error of the step that tried; nothing is killed.

The filter is a list of what is allowed (seccomp, classic BPF): what a newer kernel adds is refused
without anybody having thought of it. Layers and rasters come as descriptors, so nothing has to be
opened; only rasters that are read in parts (``compile: false``) are opened by GDAL: then files may
be opened for reading, and Landlock bounds them to the rasters' folders and Python's own.

Sources: seccomp(2), ``linux/seccomp.h``, ``linux/audit.h``; landlock(7); system call numbers from
``asm/unistd_64.h`` (x86-64) and ``asm-generic/unistd.h`` (aarch64).
"""

from __future__ import annotations

import ctypes
import errno
import os
import platform
import struct
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

__all__ = ["MACHINES", "Machine", "enter", "program"]

_PR_SET_NO_NEW_PRIVS: Final = 38
_SET_MODE_FILTER: Final = 1
_ALL_THREADS: Final = 1  # SECCOMP_FILTER_FLAG_TSYNC

# Instructions: load a word, jump if equal, jump if a bit is set, return.
_LOAD: Final = 0x20
_IF_EQUAL: Final = 0x15
_IF_BITS: Final = 0x45
_RETURN: Final = 0x06
_KILL: Final = 0x8000_0000  # SECCOMP_RET_KILL_PROCESS
_REFUSE: Final = 0x0005_0000 | errno.EPERM  # SECCOMP_RET_ERRNO
_ALLOW: Final = 0x7FFF_0000
# Places in ``struct seccomp_data``; both machines are little-endian, so the low word comes first.
_NUMBER: Final = 0
_ARCHITECTURE: Final = 4
_FIRST: Final = 16
_THIRD: Final = 32

#: Any of these in open's flags is more than reading: O_WRONLY, O_RDWR, O_CREAT, O_TRUNC, O_TMPFILE.
_MORE_THAN_READING: Final = 0o1 | 0o2 | 0o100 | 0o1000 | 0o20000000

_CREATE_RULESET: Final = 444  # the same everywhere
_ADD_RULE: Final = 445
_RESTRICT_SELF: Final = 446
_ALL_ACCESS: Final = (1 << 13) - 1  # of Landlock's first version
_READING: Final = 1 << 2 | 1 << 3  # READ_FILE, READ_DIR


@dataclass(frozen=True, slots=True)
class Machine:
    """A processor's system calls.

    Attributes:
        audit: how the kernel names its calling convention (``AUDIT_ARCH_…``).
        seccomp: the number of ``seccomp``.
        allowed: the numbers of what is allowed whatever its arguments, by name.
        to_self: those that are allowed with our own process as their first argument.
        openat: the number of ``openat``.
    """

    audit: int
    seccomp: int
    allowed: Mapping[str, int]
    to_self: Mapping[str, int]
    openat: int


MACHINES: Final[Mapping[str, Machine]] = {
    "x86_64": Machine(
        audit=0xC000_003E,
        seccomp=317,
        allowed={
            # Open descriptors: the channel to the service, the door for layers, the log.
            "read": 0,
            "write": 1,
            "close": 3,
            "poll": 7,
            "lseek": 8,
            "pread64": 17,
            "readv": 19,
            "writev": 20,
            "select": 23,
            "sendto": 44,
            "recvfrom": 45,
            "recvmsg": 47,
            "fcntl": 72,
            "pselect6": 270,
            "ppoll": 271,
            # What is where; contents stay closed.
            "stat": 4,
            "fstat": 5,
            "lstat": 6,
            "getcwd": 79,
            "newfstatat": 262,
            "statx": 332,
            # Memory.
            "mmap": 9,
            "mprotect": 10,
            "munmap": 11,
            "brk": 12,
            "mremap": 25,
            "mincore": 27,
            "madvise": 28,
            "membarrier": 324,
            # Signals of our own, the end.
            "rt_sigaction": 13,
            "rt_sigprocmask": 14,
            "rt_sigreturn": 15,
            "sigaltstack": 131,
            "exit": 60,
            "restart_syscall": 219,
            "exit_group": 231,
            # Waiting, and the threads that are there.
            "sched_yield": 24,
            "nanosleep": 35,
            "futex": 202,
            "sched_getaffinity": 204,
            "clock_nanosleep": 230,
            "set_robust_list": 273,
            "rseq": 334,
            # Who and where we are, what time it is.
            "getpid": 39,
            "uname": 63,
            "gettimeofday": 96,
            "getrusage": 98,
            "sysinfo": 99,
            "times": 100,
            "getuid": 102,
            "getgid": 104,
            "geteuid": 107,
            "getegid": 108,
            "getppid": 110,
            "gettid": 186,
            "clock_gettime": 228,
            "clock_getres": 229,
            "getcpu": 309,
            "getrandom": 318,
        },
        to_self={"kill": 62, "tgkill": 234},
        openat=257,
    ),
    "aarch64": Machine(
        audit=0xC000_00B7,
        seccomp=277,
        allowed={
            "fcntl": 25,
            "close": 57,
            "lseek": 62,
            "read": 63,
            "write": 64,
            "readv": 65,
            "writev": 66,
            "pread64": 67,
            "pselect6": 72,
            "ppoll": 73,
            "sendto": 206,
            "recvfrom": 207,
            "recvmsg": 212,
            "getcwd": 17,
            "newfstatat": 79,
            "fstat": 80,
            "statx": 291,
            "brk": 214,
            "munmap": 215,
            "mremap": 216,
            "mmap": 222,
            "mprotect": 226,
            "mincore": 232,
            "madvise": 233,
            "membarrier": 283,
            "sigaltstack": 132,
            "rt_sigaction": 134,
            "rt_sigprocmask": 135,
            "rt_sigreturn": 139,
            "exit": 93,
            "exit_group": 94,
            "restart_syscall": 128,
            "futex": 98,
            "set_robust_list": 99,
            "nanosleep": 101,
            "clock_nanosleep": 115,
            "sched_getaffinity": 123,
            "sched_yield": 124,
            "rseq": 293,
            "clock_gettime": 113,
            "clock_getres": 114,
            "times": 153,
            "uname": 160,
            "getrusage": 165,
            "getcpu": 168,
            "gettimeofday": 169,
            "getpid": 172,
            "getppid": 173,
            "getuid": 174,
            "geteuid": 175,
            "getgid": 176,
            "getegid": 177,
            "gettid": 178,
            "sysinfo": 179,
            "getrandom": 278,
        },
        to_self={"kill": 129, "tgkill": 131},
        openat=56,
    ),
}


def enter(readable: Sequence[str]) -> str:
    """Gives up, in every thread and for good, what a worker needs no more.

    Args:
        readable: folders whose files it must still open for reading; empty: it opens none.

    Returns:
        What holds from now on, for people; begins with ``none`` where this kernel can't.
    """
    machine = MACHINES.get(platform.machine())
    if machine is None or sys.byteorder != "little":
        return f"none: no list of system calls for {platform.machine()}"
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0):
        return f"none: {_why()}"
    bounded = _bound_reading(libc, readable) if readable else ""
    code = b"".join(program(machine, os.getpid(), opens=bool(readable)))
    buffer = ctypes.create_string_buffer(code, len(code))
    # struct sock_fprog: the number of instructions, and where they are.
    filtering = struct.pack("@HP", len(code) // 8, ctypes.addressof(buffer))
    failed = libc.syscall(machine.seccomp, _SET_MODE_FILTER, _ALL_THREADS, filtering)
    if failed:
        return f"none: seccomp: {_why() if failed < 0 else 'a thread has a filter of its own'}"
    return f"seccomp{bounded}"


def program(machine: Machine, pid: int, *, opens: bool) -> Iterator[bytes]:
    """The filter's instructions.

    Args:
        machine: whose calls it judges; a call of another kind ends the process.
        pid: the process's own number.
        opens: whether files may be opened for reading.
    """
    yield _instruction(_LOAD, _ARCHITECTURE)
    yield _instruction(_IF_EQUAL, machine.audit, 1, 0)
    yield _instruction(_RETURN, _KILL)
    yield _instruction(_LOAD, _NUMBER)
    for number in machine.to_self.values():
        yield _instruction(_IF_EQUAL, number, 0, 4)
        yield _instruction(_LOAD, _FIRST)
        yield _instruction(_IF_EQUAL, pid, 0, 1)
        yield _instruction(_RETURN, _ALLOW)
        yield _instruction(_RETURN, _REFUSE)
    if opens:
        yield _instruction(_IF_EQUAL, machine.openat, 0, 4)
        yield _instruction(_LOAD, _THIRD)
        yield _instruction(_IF_BITS, _MORE_THAN_READING, 0, 1)
        yield _instruction(_RETURN, _REFUSE)
        yield _instruction(_RETURN, _ALLOW)
    numbers = list(machine.allowed.values())
    for left, number in zip(range(len(numbers), 0, -1), numbers, strict=True):
        yield _instruction(_IF_EQUAL, number, left, 0)
    yield _instruction(_RETURN, _REFUSE)
    yield _instruction(_RETURN, _ALLOW)


def _instruction(code: int, value: int, if_true: int = 0, if_false: int = 0) -> bytes:
    return struct.pack("<HBBI", code, if_true, if_false, value)


def _bound_reading(libc: ctypes.CDLL, readable: Sequence[str]) -> str:
    """Lets files be opened in these folders and Python's own only; what came of it."""
    handled = struct.pack("<Q", _ALL_ACCESS)
    ruleset = libc.syscall(_CREATE_RULESET, handled, len(handled), 0)
    if ruleset < 0:
        return f", files to be read anywhere (Landlock: {_why()})"
    try:
        for folder in _folders(readable):
            descriptor = os.open(folder, os.O_PATH | os.O_CLOEXEC)
            try:
                rule = struct.pack("<Qi", _READING, descriptor)
                libc.syscall(_ADD_RULE, ruleset, 1, rule, 0)
            finally:
                os.close(descriptor)
        if libc.syscall(_RESTRICT_SELF, ruleset, 0):
            return f", files to be read anywhere (Landlock: {_why()})"
    finally:
        os.close(ruleset)
    return ", Landlock"


def _folders(readable: Iterable[str]) -> list[str]:
    own = (sys.prefix, sys.base_prefix, *(path for path in sys.path if "site-packages" in path))
    return sorted({folder for folder in (*readable, *own) if Path(folder).is_dir()})


def _why() -> str:
    return os.strerror(ctypes.get_errno())
