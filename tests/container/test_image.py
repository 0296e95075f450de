"""The image: it builds without BuildKit, runs as nobody on a read-only root, and answers.

``GEOWEIR_BASE_IMAGE`` names the base where the usual one can't be pulled. The environment's pip
settings are passed on as build arguments.
"""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

# The SDK carries no types, and its name is also that of a folder of this project.
docker: Any = pytest.importorskip("docker")

pytestmark = [pytest.mark.container, pytest.mark.timeout(900)]

ROOT = Path(__file__).parents[2]
TAG = "geoweir-test-image"
PASSED_ON = (
    "PIP_INDEX_URL",
    "PIP_EXTRA_INDEX_URL",
    "PIP_TRUSTED_HOST",
    "PIP_CERT",
    "PIP_DEFAULT_TIMEOUT",
)


@pytest.fixture(scope="module")
def engine() -> Iterator[Any]:
    try:
        client = docker.from_env(timeout=600)
        client.ping()
    except docker.errors.DockerException as error:
        pytest.skip(f"no container engine answers: {error}")
    yield client
    client.close()


@pytest.fixture(scope="module")
def image(engine: Any) -> str:
    arguments = {name: os.environ[name] for name in PASSED_ON if name in os.environ}
    if base := os.environ.get("GEOWEIR_BASE_IMAGE"):
        arguments["BASE"] = base
    engine.images.build(
        path=str(ROOT),
        dockerfile="docker/Dockerfile",
        tag=TAG,
        buildargs=arguments,
        network_mode="host",
        rm=True,
    )
    return TAG


def run(engine: Any, image: str, *command: str, **options: Any) -> str:
    """Output of a command in a container that is as restricted as the compose project's."""
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


def python(engine: Any, image: str, code: str) -> str:
    return run(engine, image, "-c", code, entrypoint=["python"])


def test_the_image_says_its_version(engine: Any, image: str) -> None:
    assert run(engine, image, "--version").startswith("geoweir ")


def test_it_runs_as_nobody(engine: Any, image: str) -> None:
    assert python(engine, image, "import os; print(os.getuid(), os.getgid())") == "65532 65532"


def test_the_root_is_read_only_and_tmp_is_not(engine: Any, image: str) -> None:
    code = """
import errno, pathlib
pathlib.Path("/tmp/x").write_text("x")
try:
    pathlib.Path("/opt/x").write_text("x")
except OSError as error:
    print(errno.errorcode[error.errno])
"""
    assert python(engine, image, code) == "EROFS"


def test_every_module_has_byte_code_that_is_not_checked_again(engine: Any, image: str) -> None:
    code = """
import geoweir, importlib.util, pathlib
root = pathlib.Path(geoweir.__file__).parent
files = [pathlib.Path(importlib.util.cache_from_source(str(p))) for p in root.rglob("*.py")]
print({int.from_bytes(p.read_bytes()[4:8], "little") for p in files})
"""
    assert python(engine, image, code) == "{1}"


def test_the_spatial_libraries_load(engine: Any, image: str) -> None:
    code = "import shapely, pyproj; print(pyproj.CRS('EPSG:4326').name, shapely.Point(1, 2).wkt)"
    assert python(engine, image, code) == "WGS 84 POINT (1 2)"


def test_the_health_check_fails_where_no_service_runs(engine: Any, image: str) -> None:
    with pytest.raises(docker.errors.ContainerError) as caught:
        run(engine, image, "healthcheck")
    assert caught.value.exit_status == 1
    assert b"not live" in caught.value.stderr


def test_the_image_has_a_health_check_and_ends_by_sigterm(engine: Any, image: str) -> None:
    config = engine.images.get(image).attrs["Config"]

    assert config["Healthcheck"]["Test"] == ["CMD", "python", "-m", "geoweir", "healthcheck"]
    assert config["StopSignal"] == "SIGTERM"
    assert config["User"] == "65532:65532"


def test_the_image_holds_no_trace_of_the_package_index(engine: Any, image: str) -> None:
    history = str(engine.images.get(image).history())
    environment = engine.images.get(image).attrs["Config"]["Env"]

    assert "PIP_" not in history
    assert not [line for line in environment if line.startswith("PIP_")]
    assert python(engine, image, "import importlib.util as u; print(u.find_spec('pip'))") == "None"


def test_the_image_is_under_250_mb(engine: Any, image: str) -> None:
    base = engine.images.get(os.environ.get("GEOWEIR_BASE_IMAGE", "debian:trixie-slim"))
    added = engine.images.get(image).attrs["Size"] - base.attrs["Size"]

    # The base of a test may be larger than debian:trixie-slim, which has 79 MB.
    assert added < 250_000_000 - 79_000_000
