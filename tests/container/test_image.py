"""The image: it builds without BuildKit, runs as nobody on a read-only root, and answers."""

from __future__ import annotations

import os

import pytest

from support.containers import Engine, run, run_python

pytestmark = [pytest.mark.container, pytest.mark.timeout(900)]


def test_the_image_says_its_version(engine: Engine, image: str) -> None:
    assert run(engine, image, "--version").startswith("geoweir ")


def test_it_runs_as_nobody(engine: Engine, image: str) -> None:
    assert run_python(engine, image, "import os; print(os.getuid(), os.getgid())") == "65532 65532"


def test_the_root_is_read_only_and_tmp_is_not(engine: Engine, image: str) -> None:
    code = """
import errno, pathlib
pathlib.Path("/tmp/x").write_text("x")
try:
    pathlib.Path("/opt/x").write_text("x")
except OSError as error:
    print(errno.errorcode[error.errno])
"""
    assert run_python(engine, image, code) == "EROFS"


def test_every_module_has_byte_code_that_is_not_checked_again(engine: Engine, image: str) -> None:
    code = """
import geoweir, importlib.util, pathlib
root = pathlib.Path(geoweir.__file__).parent
files = [pathlib.Path(importlib.util.cache_from_source(str(p))) for p in root.rglob("*.py")]
print({int.from_bytes(p.read_bytes()[4:8], "little") for p in files})
"""
    assert run_python(engine, image, code) == "{1}"


def test_the_spatial_libraries_load(engine: Engine, image: str) -> None:
    code = "import shapely, pyproj; print(pyproj.CRS('EPSG:4326').name, shapely.Point(1, 2).wkt)"
    assert run_python(engine, image, code) == "WGS 84 POINT (1 2)"


def test_the_health_check_fails_where_no_service_runs(engine: Engine, image: str) -> None:
    errors = pytest.importorskip("docker.errors")
    with pytest.raises(errors.ContainerError) as caught:
        run(engine, image, "healthcheck")
    assert caught.value.exit_status == 1
    assert b"not live" in caught.value.stderr


def test_the_image_has_a_health_check_and_ends_by_sigterm(engine: Engine, image: str) -> None:
    config = engine.images.get(image).attrs["Config"]

    assert config["Healthcheck"]["Test"] == ["CMD", "python", "-m", "geoweir", "healthcheck"]
    assert config["StopSignal"] == "SIGTERM"
    assert config["User"] == "65532:65532"


def test_the_image_holds_no_trace_of_the_package_index(engine: Engine, image: str) -> None:
    history = str(engine.images.get(image).history())
    environment = engine.images.get(image).attrs["Config"]["Env"]

    assert "PIP_" not in history
    assert not [line for line in environment if line.startswith("PIP_")]
    assert (
        run_python(engine, image, "import importlib.util as u; print(u.find_spec('pip'))") == "None"
    )


def test_the_image_is_under_250_mb(engine: Engine, image: str) -> None:
    base = engine.images.get(os.environ.get("GEOWEIR_BASE_IMAGE", "debian:trixie-slim"))
    added = engine.images.get(image).attrs["Size"] - base.attrs["Size"]

    # The base of a test may be larger than debian:trixie-slim, which has 79 MB.
    assert added < 250_000_000 - 79_000_000
