"""Certificate files: when they end, and what serves while they can't be used."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from geoweir.mqtt.expiry import ends_at
from geoweir.mqtt.options import TlsFiles
from support.certificates import Authority

BEGIN, END = b"-----BEGIN CERTIFICATE-----", b"-----END CERTIFICATE-----"


@pytest.mark.parametrize("year", [2027, 2049, 2050, 2999])
def test_t35_the_end_of_a_certificate_is_read_from_its_file(tmp_path: Path, year: int) -> None:
    # Until 2049 it is written with two digits of the year, from then on with four.
    end = datetime(year, 7, 3, 12, 30, 59, tzinfo=UTC)
    made = Authority(tmp_path).issue("x", name="x", not_after=end)

    assert ends_at(str(made.chain)) == end.timestamp()


def test_t35_what_holds_no_certificate_is_said_so(tmp_path: Path) -> None:
    whole = Authority(tmp_path).issue("x", name="x").chain.read_bytes()
    file = tmp_path / "broken.pem"
    # One whole base64 line less at each step: cut off wherever it may be.
    lines = whole[: whole.index(END)].splitlines(keepends=True)
    for count in range(1, len(lines)):
        file.write_bytes(b"".join(lines[:count]) + END)
        try:
            end = ends_at(str(file))
        except ValueError:
            continue
        assert end == ends_at(str(tmp_path / "x.pem"))  # the cut came behind the date
    for text in (b"", b"hello", BEGIN + b"\nAAAA\n" + END):
        file.write_bytes(text)
        with pytest.raises(ValueError, match=r"."):
            ends_at(str(file))


def test_t35_the_last_good_certificates_serve_while_the_files_are_not(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    made, other = authority.issue("a", name="a"), authority.issue("b", name="b")
    files = TlsFiles(ca=str(made.authority), cert=str(made.chain), key=str(made.key))
    good = files.context()

    made.chain.write_bytes(other.chain.read_bytes())  # its key has not come yet
    assert files.context() is good
    with pytest.raises(OSError, match="mismatch"):
        files.read()
    with pytest.raises(OSError, match="mismatch"):
        TlsFiles(cert=files.cert, key=files.key).context()
    made.key.write_bytes(other.key.read_bytes())
    assert files.context() is not good
