"""Percent-encoding of values from payloads, one to one.

``%`` is always encoded, so that what is encoded reads back in one way; a value that is too long is
cut and ended with ``%~`` and 32 hex digits of its digest, an empty one is ``%-``: neither can come
from encoding anything else. Two values therefore never become one text (for the cut ones: unless
two 128-bit digests agree).
"""

from __future__ import annotations

import re
from hashlib import blake2b
from typing import Final

__all__ = ["encode_key_part", "encode_level"]

_PLAIN: Final = re.compile(r"[0-9A-Za-z_.@=,()*'! -]{1,48}")
# What cuts a connection or means something in a topic, and noncharacters and half surrogate pairs.
_UNFIT: Final = re.compile(
    "[%+#/\x00-\x1f\x7f-\x9f\ud800-\udfff\ufdd0-\ufdef"
    + "".join(chr((plane << 16) + last) for plane in range(17) for last in (0xFFFE, 0xFFFF))
    + "]"
)
_UNFIT_IN_KEY: Final = re.compile(r"[^0-9A-Za-z_.@=~-]")
_EMPTY: Final = "%-"
_DIGEST_BYTES: Final = 16
_TAIL: Final = len("%~") + 2 * _DIGEST_BYTES


def encode_level(value: str, longest: int = 128) -> str:
    """A value for one topic level: valid in MQTT, without wildcards, separators and a leading $.

    Args:
        value: any text, half surrogate pairs too.
        longest: bytes of the result at most.
    """
    if _PLAIN.fullmatch(value):
        return value
    text = _UNFIT.sub(_escape, value[: longest + 1])  # what is longer is cut in any case
    if text.startswith("$"):
        text = "%24" + text[1:]
    return _bounded(text, value, longest)


def encode_key_part(value: str, longest: int = 96) -> str:
    """A value for one part of a key: plain ASCII without colons.

    Args:
        value: any text, half surrogate pairs too.
        longest: bytes of the result at most.
    """
    if value.isalnum() and value.isascii() and len(value) <= longest:
        return value
    return _bounded(_UNFIT_IN_KEY.sub(_escape, value[: longest + 1]), value, longest)


def _escape(match: re.Match[str]) -> str:
    return "".join(f"%{byte:02X}" for byte in match[0].encode("utf-8", "surrogatepass"))


def _bounded(text: str, value: str, longest: int) -> str:
    if not value:
        return _EMPTY
    encoded = text.encode()
    if len(encoded) <= longest:
        return text
    digest = blake2b(value.encode("utf-8", "surrogatepass"), digest_size=_DIGEST_BYTES)
    return f"{encoded[: longest - _TAIL].decode('utf-8', 'ignore')}%~{digest.hexdigest()}"
