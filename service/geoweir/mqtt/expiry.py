"""When a certificate ends: read from its PEM file.

``ssl`` tells the dates of a peer's certificate but not those of a file, and a library for X.509 is
too much for one date: the few steps of RFC 5280 section 4.1 that lead to ``notAfter`` stand here.
"""

from __future__ import annotations

import re
import ssl
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

__all__ = ["ends_at"]

_PEM: Final = re.compile(r"-----BEGIN CERTIFICATE-----.*?-----END CERTIFICATE-----", re.DOTALL)
_MOST: Final = 1_000_000  # bytes of a file: the authorities of a whole system have a quarter
_SEQUENCE: Final = 0x30
_VERSION: Final = 0xA0
_UTC_TIME: Final = 0x17
_LONG: Final = 0x80  # a length of more than one byte
_PIVOT: Final = 50  # RFC 5280: two digits from here on are of the last century


def ends_at(path: str) -> float:
    """When the first certificate of a file ends, in Unix seconds: behind it stands its chain.

    Raises:
        OSError: the file can't be read.
        ValueError: it holds no certificate.
    """
    with Path(path).open("rb") as file:
        text = file.read(_MOST).decode("ascii", "replace")
    first = _PEM.search(text)
    if first is None:
        raise ValueError(f"{path} holds no certificate in PEM form")
    try:
        return _not_after(ssl.PEM_cert_to_DER_cert(first[0]))
    except IndexError:
        raise ValueError(f"{path}: its certificate is cut off") from None


def _not_after(certificate: bytes) -> float:
    """``Certificate.tbsCertificate.validity.notAfter``."""
    at, _ = _enter(certificate, 0)
    at, _ = _enter(certificate, at)
    if certificate[at] == _VERSION:
        at = _over(certificate, at)
    for _field in ("serialNumber", "signature", "issuer"):
        at = _over(certificate, at)
    at, _ = _enter(certificate, at)
    at = _over(certificate, at)  # notBefore
    start, end = _inside(certificate, at)
    return _moment(certificate[at], certificate[start:end].decode("ascii"))


def _inside(data: bytes, at: int) -> tuple[int, int]:
    """Where the content of the element at a place begins and ends (DER: definite lengths only)."""
    length, start = data[at + 1], at + 2
    if length >= _LONG:
        start += length - _LONG
        length = int.from_bytes(data[at + 2 : start], "big")
    if start + length > len(data):
        raise ValueError("a certificate that is cut off")
    return start, start + length


def _enter(data: bytes, at: int) -> tuple[int, int]:
    if data[at] != _SEQUENCE:
        raise ValueError("this is no X.509 certificate")
    return _inside(data, at)


def _over(data: bytes, at: int) -> int:
    return _inside(data, at)[1]


def _moment(tag: int, text: str) -> float:
    """UTCTime ``YYMMDDHHMMSSZ`` or GeneralizedTime ``YYYYMMDDHHMMSSZ``."""
    if tag == _UTC_TIME:
        text = ("19" if int(text[:2]) >= _PIVOT else "20") + text
    return datetime.strptime(text, "%Y%m%d%H%M%SZ").replace(tzinfo=UTC).timestamp()
