"""The image: it builds without BuildKit, runs as nobody on a read-only root, and answers."""

from __future__ import annotations

import json
import re

import pytest

from support.containers import PROJECT, Engine, run, run_python

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
        run(engine, image, "-H", entrypoint=["geoweir-init"])
    assert caught.value.exit_status == 1
    assert b"not live" in caught.value.stderr


def test_the_image_has_a_health_check_and_ends_by_sigterm(engine: Engine, image: str) -> None:
    config = engine.images.get(image).attrs["Config"]

    assert config["Healthcheck"]["Test"] == ["CMD", "geoweir-init", "-H"]
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
    assert engine.images.get(image).attrs["Size"] < 250_000_000


def test_it_has_no_compiler_no_gdal_and_no_setuid_program(engine: Engine, image: str) -> None:
    code = """
import importlib.util, os, shutil, stat
print([name for name in ("cc", "gcc", "ld") if shutil.which(name)])
print([name for name in ("pyogrio", "rasterio") if importlib.util.find_spec(name)])
print([path for folder, _, names in os.walk("/usr") for name in names
       if stat.S_ISREG((info := os.lstat(path := os.path.join(folder, name))).st_mode)
       and info.st_mode & (stat.S_ISUID | stat.S_ISGID)])
"""
    assert run_python(engine, image, code).split("\n") == ["[]", "[]", "[]"]


def test_nothing_in_it_is_younger_than_the_source_date(engine: Engine, image: str) -> None:
    code = """
import os
print([path for folder, _, names in os.walk("/opt") for name in names
       if os.lstat(path := os.path.join(folder, name)).st_mtime > 1764028800])
"""
    assert run_python(engine, image, code) == "[]"


def test_its_bill_names_what_is_inside_wheels(engine: Engine, image: str) -> None:
    code = "print(open('/usr/share/geoweir/sbom.cdx.json').read())"
    components = json.loads(run_python(engine, image, code))["components"]
    versions = {one["name"]: one["version"] for one in components}

    assert {"geos", "proj", "sqlite", "curl", "tiff", "openblas"} <= set(versions)
    assert {"geoweir", "shapely", "python3", "libc6"} <= set(versions)
    assert all(re.match(r"\d+(\.\d+)+", versions[name]) for name in ("geos", "proj", "curl"))


def test_its_labels_say_what_it_is(engine: Engine, image: str) -> None:
    labels = engine.images.get(image).attrs["Config"]["Labels"]
    text = (PROJECT / "pyproject.toml").read_text()
    version = re.search(r'^version = "(.*)"$', text, re.MULTILINE)

    assert version is not None
    assert labels["org.opencontainers.image.version"] == version[1]
    assert labels["org.opencontainers.image.licenses"] == "Apache-2.0"
