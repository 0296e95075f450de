"""What a release is made with: tags by the symbols in use, and an audit that does not flatter."""

from __future__ import annotations

from deploy.audit import judged
from deploy.wheels import manylinux, newest_glibc


def test_the_platform_tag_is_the_oldest_with_every_symbol() -> None:
    symbols = "GLIBC_2.2.5 memcpy\nGLIBC_2.14 memcpy\nGLIBC_2.29 pow\n"
    assert newest_glibc(symbols) == 29
    assert manylinux(29) == "manylinux_2_29"
    assert manylinux(newest_glibc("GLIBC_2.17 memcpy")) == "manylinux2014"
    assert manylinux(newest_glibc("")) == "manylinux2014"


def test_what_could_not_be_looked_at_is_not_clean() -> None:
    report = {
        "dependencies": [
            {"name": "numpy", "version": "2.4.6", "vulns": []},
            {"name": "shapely", "skip_reason": "not found"},
            {"name": "odd"},
        ]
    }
    audit = judged(report)
    assert audit.clean == ["numpy 2.4.6"]
    assert set(audit.skipped) == {"shapely", "odd"}
    assert audit.status() == 3
    faulty = judged({"dependencies": [{"name": "a", "version": "1", "vulns": [{"id": "CVE-1"}]}]})
    assert (faulty.faulty, faulty.status()) == ({"a 1": ["CVE-1"]}, 1)
    assert judged({"dependencies": []}).status() == 3
    assert judged({"dependencies": report["dependencies"][:1]}).status() == 0
