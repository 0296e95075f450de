from pathlib import Path

import pytest

from support.configurations import Folder


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    return Folder(tmp_path)
