"""Images and containers, as restricted as those of the compose project."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, Final

# The SDK carries no types.
Engine = Any

__all__ = ["PROJECT", "Engine", "build", "run", "run_python"]

PROJECT: Final = Path(__file__).resolve().parents[2]

_PASSED_ON: Final = (
    "PIP_INDEX_URL",
    "PIP_EXTRA_INDEX_URL",
    "PIP_TRUSTED_HOST",
    "PIP_CERT",
    "PIP_DEFAULT_TIMEOUT",
)


def build(engine: Engine, tag: str, base: str | None) -> str:
    """Builds the project's image on a base; the environment's pip settings are passed on.

    No platform is named: the base has one, and the classic builder loses it on the way and then
    refuses its own layers.
    """
    arguments = {name: os.environ[name] for name in _PASSED_ON if name in os.environ}
    if base:
        arguments["BASE"] = base
    engine.images.build(
        path=str(PROJECT),
        dockerfile="docker/Dockerfile",
        tag=tag,
        buildargs=arguments,
        network_mode="host",
        container_limits={"cpushares": 128},  # other tests may run beside it
        rm=True,
    )
    return tag


def run(engine: Engine, image: str, *command: str, **options: Any) -> str:
    """Output of a command in a container without a network."""
    output: bytes = engine.containers.run(
        image,
        list(command),
        remove=True,
        read_only=True,
        cap_drop=["ALL"],
        security_opt=["no-new-privileges:true"],
        network_mode="none",
        tmpfs={"/tmp": "size=8m,noexec,nosuid"},
        stderr=True,
        **options,
    )
    return output.decode().strip()


def run_python(engine: Engine, image: str, code: str, **options: Any) -> str:
    """Output of a script in a container."""
    return run(engine, image, "-c", code, entrypoint=["python"], **options)
