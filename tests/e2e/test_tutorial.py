"""The tutorial's commands, as they stand, on a broker of their own."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from support.brokers import needs_mosquitto, open_mosquitto
from support.mosquitto import free_port
from support.service import clean_environment

pytestmark = pytest.mark.mosquitto

_PAGE = Path(__file__).parents[2] / "docs/tutorial.md"


def test_every_command_of_the_tutorial_does_what_the_page_says(tmp_path: Path) -> None:
    needs_mosquitto()
    if shutil.which("mosquitto_sub") is None:
        pytest.skip("no mosquitto clients")
    blocks = re.findall(r"(?ms)^```sh\n(.*?)^```$", _PAGE.read_text(encoding="utf-8"))
    assert len(blocks) > 8
    (tmp_path / "bin").mkdir()
    geoweir = tmp_path / "bin/geoweir"
    geoweir.write_text(f'#!/bin/sh\nexec {sys.executable} -m geoweir "$@"\n')
    geoweir.chmod(0o755)
    listen = free_port()
    with open_mosquitto(tmp_path / "broker") as broker:
        # Of the page only the two ports differ: other tests may have those.
        script = "\n".join(blocks).replace("localhost:1883", f"localhost:{broker.port}")
        script = script.replace("mosquitto_sub ", f"mosquitto_sub -p {broker.port} ")
        script = script.replace("mosquitto_pub ", f"mosquitto_pub -p {broker.port} ")
        script = script.replace("127.0.0.1:9108", f"127.0.0.1:{listen}")
        script = script.replace("\nlayers:\n", f"\nhttp: {{listen: 127.0.0.1:{listen}}}\nlayers:\n")
        path = f"{tmp_path / 'bin'}:{os.environ['PATH']}"
        ends = "trap 'kill $(jobs -p) 2>/dev/null' EXIT\n"
        (tmp_path / "typed.sh").write_text(ends + script)
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "typed.sh"],
            cwd=tmp_path,
            env=clean_environment(PATH=path),
            capture_output=True,
            text=True,
            timeout=100,
            check=False,
        )
    assert done.returncode == 0, (done.stdout[-2000:], done.stderr[-2000:])
    assert '"status":"valid"' in (tmp_path / "result.json").read_text()
