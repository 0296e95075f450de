"""``geoweir run`` becomes another process image once the configuration is read and found sound.

What serves for months then holds nothing of what reading a configuration takes: some 40 MB of
pydantic and YAML that would never be used again. The process id stays.
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
from typing import TYPE_CHECKING, NoReturn

if TYPE_CHECKING:
    from geoweir.app.fleet.wire import Plan

__all__ = ["add_arguments", "become", "become_again", "read_plan"]


def become(command: str, plan: Plan, *, config: str, debug: bool) -> NoReturn:
    """Replaces this process by ``geoweir COMMAND`` with the plan."""
    from geoweir.app.fleet.wire import write_plan

    descriptor = os.memfd_create("geoweir-plan", 0)  # it passes through exec
    with os.fdopen(descriptor, "wb", closefd=False) as file:
        file.write(write_plan(plan))
    sys.stdout.flush()
    sys.stderr.flush()
    # As we were started: by -m the working folder is looked into for modules, as a script not.
    safely = [] if "-m" in sys.orig_argv else ["-P"]
    flags = ["--debug"] if debug else []
    arguments = [*flags, command, str(descriptor), "-c", config]
    os.execv(  # noqa: S606 - ourselves
        sys.executable, [sys.executable, *safely, "-m", "geoweir", *arguments]
    )


def become_again(command: str, plan: Plan, *, config: str, debug: bool) -> NoReturn:
    """Replaces a service by itself with another plan."""
    # Until the loop of the next life listens, a second SIGHUP must not end us; exec keeps this.
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    become(command, plan, config=config, debug=debug)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What ``become`` passes."""
    parser.add_argument("descriptor", type=int, help="of an open file with the plan")
    parser.add_argument("-c", "--config", help="for those who look at the list of processes")


def read_plan(descriptor: int) -> Plan:
    """The plan that ``become`` left."""
    from geoweir.app.fleet import wire

    with os.fdopen(descriptor, "rb") as file:
        file.seek(0)
        return wire.read_plan(file.read())
