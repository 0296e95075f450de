"""The engine and the image that the tests of this folder share.

``GEOWEIR_BASE_IMAGE`` names the base where the usual one can't be pulled, ``GEOWEIR_IMAGE`` an
image that is to be tested as it is.
"""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from support.containers import Engine, build


@pytest.fixture(scope="session")
def engine() -> Iterator[Engine]:
    docker = pytest.importorskip("docker")
    try:
        client = docker.from_env(timeout=600)
        client.ping()
    except docker.errors.DockerException as error:
        pytest.skip(f"no container engine answers: {str(error)[:100]}")
    yield client
    client.close()


@pytest.fixture(scope="session")
def image(engine: Engine) -> str:
    return os.environ.get("GEOWEIR_IMAGE") or build(
        engine, "geoweir-test-image", os.environ.get("GEOWEIR_BASE_IMAGE")
    )
