"""How the documentation becomes a site: ``make docs``."""

from __future__ import annotations

import sys
from importlib.metadata import version as installed
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

import reference

project = "geoweir"
author = "the geoweir team"
release = version = installed("geoweir")
extensions = ["myst_parser"]
html_theme = "furo"
html_title = f"geoweir {release}"
myst_heading_anchors = 4
# Links to files of the repository are for those who read it there.
suppress_warnings = ["myst.xref_missing"]

reference.write(Path(__file__).parent / "reference")
