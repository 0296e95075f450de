"""Reads the configuration again, in processes of their own: a service holds nothing of that."""

from __future__ import annotations

import asyncio
import os
import socket
import sys
from typing import TYPE_CHECKING, Final

from geoweir.errors import ConfigurationError

if TYPE_CHECKING:
    from geoweir.app.fleet.wire import Plan
    from geoweir.settings.values import HttpSettings

__all__ = ["fresh_plan"]

#: A check loads geometry libraries and opens layers; on a gateway under load that takes its time.
_PATIENCE_S: Final = 120.0
_LONGEST_ANSWER: Final = 4000


async def fresh_plan(config: str, *, processes: int, before: Plan) -> Plan | None:
    """What the configuration says now; None where that has not changed.

    Everything is tried that can be tried beside a running service: the text, the files that it
    names, what a worker makes of it, an address to listen on, and the broker, where it is another.

    Raises:
        ConfigurationError: it can't be taken up; why, on one line.
    """
    from geoweir.app.fleet.wire import read_plan

    descriptor = os.memfd_create("geoweir-plan")
    try:
        await _ask("run", "-c", config, "--processes", str(processes), "--plan", str(descriptor))
        with os.fdopen(os.dup(descriptor), "rb") as file:
            file.seek(0)
            plan = read_plan(file.read())
    finally:
        os.close(descriptor)
    if (plan.settings, plan.members) == (before.settings, before.members):
        return None
    is_other_broker = plan.settings.mqtt != before.settings.mqtt
    await _ask("check", "-c", config, *(["--connect"] if is_other_broker else []))
    if plan.settings.http != before.settings.http:
        _try_address(plan.settings.http, before.settings.http)
    return plan


async def _ask(*arguments: str) -> None:
    """Runs one of our commands; what it says when it fails is the error."""
    descriptors = [int(arguments[-1])] if "--plan" in arguments else []
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *([] if "-m" in sys.orig_argv else ["-P"]),
        "-m",
        "geoweir",
        *arguments,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        pass_fds=descriptors,
    )
    try:
        async with asyncio.timeout(_PATIENCE_S):
            output, _ = await process.communicate()
    except TimeoutError:
        raise ConfigurationError(f"geoweir {arguments[0]} took over {_PATIENCE_S:g} s") from None
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    if process.returncode:
        lines = output.decode(errors="replace").strip().splitlines()
        faults = [line for line in lines if "error" in line or "[" in line] or lines[-3:]
        raise ConfigurationError("; ".join(faults)[:_LONGEST_ANSWER] or "no reason was given")


def _try_address(wanted: HttpSettings, before: HttpSettings) -> None:
    if (wanted.host, wanted.port) == (before.host, before.port) or not wanted.port:
        return
    try:
        family = socket.AF_INET6 if ":" in wanted.host else socket.AF_INET
        socket.create_server((wanted.host, wanted.port), family=family).close()
    except OSError as error:
        raise ConfigurationError(
            f"http.listen: {wanted.host}:{wanted.port} can't be taken: {error.strerror}"
        ) from None
