"""Writes the image's bill of materials as CycloneDX 1.6 JSON, on standard output.

Run it with the environment's own interpreter. It names the Python distributions, and what they
carry inside and no package manager knows: the shared libraries of wheels (``*.libs``: GEOS, PROJ,
SQLite, curl, TIFF, OpenBLAS, ...), with the version that the library itself says where it says one,
and what their own bills (PEP 770) name. Debian's packages are listed by /var/lib/dpkg/status. It
says no time and no place: two builds give the same bytes.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator
from importlib.metadata import Distribution, distributions
from pathlib import Path
from typing import Any, Final

__all__ = ["bill", "library"]

Component = dict[str, Any]

#: libNAME[-VERSION]-HASH.so[.VERSION], as auditwheel and delocate write it.
_FILE: Final = re.compile(
    r"lib(?P<name>[\w+.]+?)(?:-(?P<in_name>[\d.]+))?(?:-(?P<hash>[0-9a-f]{8,}))?"
    r"\.so(?:\.(?P<version>[\w.]+))?"
)
#: Where a library says its version itself; the number in its file's name is its interface's.
_SAYS: Final = {
    "curl": rb"libcurl/(\d+\.\d+\.\d+)",
    "geos": rb"\0(3\.\d+\.\d+)-CAPI",
    "geos_c": rb"\0(3\.\d+\.\d+)-CAPI",
    "scipy_openblas": rb"OpenBLAS (\d+\.\d+\.\d+)",
    "scipy_openblas64_": rb"OpenBLAS (\d+\.\d+\.\d+)",
    "sqlite3": rb"\0(3\.\d+\.\d+)\0",
    "tiff": rb"LIBTIFF, Version (\d+\.\d+\.\d+)",
}
#: Their files are numbered by their interface, and by their version after it.
_NUMBERED: Final = frozenset({"gdal", "proj"})
_NAMES: Final = {
    "geos_c": "geos",
    "scipy_openblas": "openblas",
    "scipy_openblas64_": "openblas",
    "sqlite3": "sqlite",
}

_FIELD: Final = re.compile(r"^(Package|Version|Source|Architecture): (.+)$", re.MULTILINE)


def bill(status: str) -> dict[str, Any]:
    """The bill of this environment.

    Args:
        status: the text of dpkg's status file; may be empty.
    """
    found = {}
    for component in (*_python(), *_debian(status)):
        found[component["bom-ref"]] = component
    return {
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "version": 1,
        "components": [found[ref] for ref in sorted(found)],
    }


def library(path: Path, owner: str) -> Component | None:
    """A shared library inside the wheel of ``owner``; None for a file that is none."""
    parts = _FILE.fullmatch(path.name)
    if parts is None:
        return None
    name, version = parts["name"], parts["in_name"] or parts["version"] or ""
    if name in _NUMBERED:
        version = version.partition(".")[2]
    if (says := _SAYS.get(name)) and (said := re.search(says, path.read_bytes())):
        version = said[1].decode("ascii")
    name = _NAMES.get(name, name)
    return {
        "type": "library",
        "bom-ref": f"bundled/{owner}/{path.name}",
        "name": name,
        "version": version or "unknown",
        "purl": f"pkg:generic/{name}@{version or 'unknown'}",
        "properties": [
            {"name": "geoweir:bundled-in", "value": owner},
            {"name": "geoweir:file", "value": path.name},
        ],
    }


def _python() -> Iterator[Component]:
    for distribution in distributions():
        name, version = distribution.metadata["Name"], distribution.version
        purl = f"pkg:pypi/{re.sub(r'[-_.]+', '-', name).lower()}@{version}"
        yield {
            "type": "library",
            "bom-ref": purl,
            "name": name,
            "version": version,
            "purl": purl,
        }
        yield from _bundled(distribution, name)


def _bundled(distribution: Distribution, owner: str) -> Iterator[Component]:
    for file in distribution.files or []:
        path = Path(str(distribution.locate_file(file)))
        if any(part.endswith(".libs") for part in file.parts) and path.is_file():
            found = library(path, owner)
            if found is not None:
                yield found
        elif "sboms" in file.parts and path.suffix == ".json" and path.is_file():
            yield from _told(json.loads(path.read_text(encoding="utf-8")), owner)


def _told(inner: dict[str, Any], owner: str) -> Iterator[Component]:
    """Components of a bill that came with a wheel."""
    for one in inner.get("components", []):
        yield {
            "type": "library",
            "bom-ref": f"bundled/{owner}/{one['name']}@{one.get('version', 'unknown')}",
            "name": one["name"],
            "version": one.get("version", "unknown"),
            **({"purl": one["purl"]} if "purl" in one else {}),
            "properties": [{"name": "geoweir:bundled-in", "value": owner}],
        }


def _debian(status: str) -> Iterator[Component]:
    for paragraph in status.split("\n\n"):
        fields = dict(
            re.findall(r"^(Package|Version|Source|Architecture): (.+)$", paragraph, re.MULTILINE)
        )
        if "Version" in fields:
            source, _, version = fields.get("Source", fields["Package"]).partition(" ")
            yield {
                "type": "library",
                "bom-ref": f"deb/{fields['Package']}/{fields.get('Architecture', '')}",
                "name": fields["Package"],
                "version": fields["Version"],
                "purl": f"pkg:deb/debian/{source}@{version.strip('()') or fields['Version']}",
            }


if __name__ == "__main__":
    status_file = Path("/var/lib/dpkg/status" if len(sys.argv) == 1 else sys.argv[1])
    text = status_file.read_text(encoding="utf-8") if status_file.exists() else ""
    json.dump(bill(text), sys.stdout, indent=1, sort_keys=True)
