"""Certificates for a broker on loopback, from an authority of the test's own."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import trustme

__all__ = ["Certificates"]


@dataclass(frozen=True, slots=True)
class Certificates:
    """Paths of PEM files."""

    authority: Path
    chain: Path
    key: Path

    @classmethod
    def make(cls, folder: Path) -> Certificates:
        """New ones for 127.0.0.1, in a folder."""
        authority = trustme.CA()
        issued = authority.issue_cert("127.0.0.1")
        made = cls(folder / "ca.pem", folder / "chain.pem", folder / "key.pem")
        authority.cert_pem.write_to_path(str(made.authority))
        for number, part in enumerate(issued.cert_chain_pems):
            part.write_to_path(str(made.chain), append=number > 0)
        issued.private_key_pem.write_to_path(str(made.key))
        return made
