"""Compiling sources in a process of its own, so that the service holds no geometry library."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import os
import sys
from pathlib import Path
from typing import Final

import msgspec

from geoweir.core.spec import LayerSpec, RasterSpec
from geoweir.errors import GeoweirError
from geoweir.pool.forkserver import sparse_environment

__all__ = ["CompileError", "compile_sequence", "compile_source"]

SOURCE_S: Final = 1800.0  # for a plain source: large ones take minutes on a gateway
SEQUENCE_S: Final = 60.0  # for the features of a live layer, which are bounded
_NICENESS: Final = 5
_LONGEST_WORD: Final = 300  # characters of what the compiler says
_SEALS: Final = fcntl.F_SEAL_SEAL | fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_WRITE


class CompileError(GeoweirError):
    """What was to be compiled can't be, or not in time; one sentence."""


async def compile_source(spec: LayerSpec | RasterSpec) -> Path:
    """Where the compiled form of a plain source is; made now if it isn't there.

    Raises:
        CompileError: in the compiler's own words.
    """
    said = await _run(
        ["prepare", spec.reference.kind, msgspec.json.encode(spec).decode()], SOURCE_S
    )
    return Path(said.strip())


async def compile_sequence(crs: str, sequence: bytes) -> tuple[int, dict[int, str]]:
    """A layer of features as a GeoJSON text sequence: an open file that nobody can change.

    Returns:
        Its descriptor; and why features are not in it, by their number in the sequence from 0.

    Raises:
        CompileError: in the compiler's own words.
    """
    descriptor = os.memfd_create("geoweir-layer", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    try:
        arguments = ["compile", "-", "--json", "--fd", str(descriptor)]
        arguments += ["--crs", crs, "--source-crs", crs]
        said = await _run(arguments, SEQUENCE_S, feed=sequence, descriptor=descriptor)
        refused = _refused(said)
        # A worker gets this very descriptor, and it runs on bytes from strangers.
        fcntl.fcntl(descriptor, fcntl.F_ADD_SEALS, _SEALS)
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor, refused


class _Finding(msgspec.Struct):
    number: int
    kind: str
    reason: str


_finding = msgspec.json.Decoder(_Finding)


def _refused(said: str) -> dict[int, str]:
    try:
        found = [_finding.decode(line) for line in said.splitlines()]
    except msgspec.MsgspecError as error:
        raise CompileError(f"the compiler said what it never says: {error}") from error
    return {one.number: one.reason[:_LONGEST_WORD] for one in found if one.kind == "refused"}


async def _run(
    arguments: list[str], seconds: float, *, feed: bytes = b"", descriptor: int | None = None
) -> str:
    safely = [] if "-m" in sys.orig_argv else ["-P"]
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *safely,
        "-m",
        "geoweir",
        *arguments,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        pass_fds=() if descriptor is None else (descriptor,),
        env=sparse_environment(),
        start_new_session=True,  # Ctrl-C is for the service
    )
    with contextlib.suppress(OSError):
        os.setpriority(os.PRIO_PROCESS, process.pid, _NICENESS)
    try:
        async with asyncio.timeout(seconds):
            out, err = await process.communicate(feed)
    except TimeoutError:
        raise CompileError(f"it was not compiled within {seconds:.0f} s") from None
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    if process.returncode:
        raise CompileError(_last_line(err) or f"the compiler ended with {process.returncode}")
    return out.decode(errors="replace")


def _last_line(text: bytes) -> str:
    lines = text.decode(errors="replace").strip().splitlines()
    return lines[-1].removeprefix("geoweir: ")[:_LONGEST_WORD] if lines else ""
