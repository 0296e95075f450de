import os
import sys
from pathlib import Path

import pytest
import trustme
from cryptography.hazmat.primitives import serialization

from geoweir.settings.files import FileProblem, file_problem, is_module, read_secret, tls_problem


def test_a_pipe_is_refused_and_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    problem = file_problem(tmp_path / "pipe")
    assert problem is not None
    assert problem.code == "unreadable-file"


@pytest.mark.parametrize("content", [b"", b"\nx", b"\xff\n", b"a\0b\n"])
def test_a_file_without_a_secret_in_its_first_line_is_broken(
    tmp_path: Path, content: bytes
) -> None:
    (tmp_path / "secret").write_bytes(content)
    found = read_secret(tmp_path / "secret")
    assert isinstance(found, FileProblem)
    assert found.code == "broken-file"


def test_a_module_is_found_without_running_it(tmp_path: Path) -> None:
    (tmp_path / "own_step.py").write_text("raise SystemExit('it ran')\n", encoding="utf-8")
    package = tmp_path / "own_package"
    package.mkdir()
    (package / "__init__.py").write_text("raise SystemExit('it ran')\n", encoding="utf-8")
    (package / "inner.py").write_text("raise SystemExit('it ran')\n", encoding="utf-8")
    assert is_module("own_step", tmp_path, [])
    assert is_module("own_package.inner", tmp_path, [])
    assert not is_module("own_package.other", tmp_path, [])
    assert not is_module("own_step.inner", tmp_path, [])
    assert not is_module("nothing", tmp_path, sys.path)


def test_a_key_with_a_passphrase_is_refused_and_not_asked_for(tmp_path: Path) -> None:
    key, cert = tmp_path / "key.pem", tmp_path / "cert.pem"
    issued = trustme.CA().issue_cert("broker.example")
    cert.write_bytes(issued.cert_chain_pems[0].bytes())
    plain = serialization.load_pem_private_key(issued.private_key_pem.bytes(), None)
    locked = serialization.BestAvailableEncryption(b"canary")
    pem, pkcs8 = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
    key.write_bytes(plain.private_bytes(pem, pkcs8, locked))
    assert tls_problem(None, cert, key) is not None
    key.write_bytes(plain.private_bytes(pem, pkcs8, serialization.NoEncryption()))
    assert tls_problem(cert, cert, key) is None
