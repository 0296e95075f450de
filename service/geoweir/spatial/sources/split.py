"""The features of a FeatureCollection one by one, however long the document is.

Only brackets and quotation marks are looked at, with numpy, a block at a time; what stands between
two of them is a feature's text, which a JSON parser then judges. (An event parser such as ijson
calls Python for every number.)
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Final

import numpy as np
import numpy.typing as npt

__all__ = ["MOST_BYTES", "Collection", "SplitError"]

#: Bytes of one feature, and of everything around the features.
MOST_BYTES: Final = 256_000_000

_QUOTE, _OPEN, _CLOSE = 1, 2, 3
_KINDS: Final = np.zeros(256, dtype=np.uint8)
_KINDS[ord('"')] = _QUOTE
_KINDS[[ord("{"), ord("[")]] = _OPEN
_KINDS[[ord("}"), ord("]")]] = _CLOSE
_ESCAPED: Final = re.compile(rb"\\.", re.DOTALL)
_KEY: Final = re.compile(rb'"features"\s*:\s*$')
_KEY_BYTES: Final = 64
_BLANK: Final = b" \t\r\n"
_BOM: Final = b"\xef\xbb\xbf"

_Positions = npt.NDArray[np.intp]


class SplitError(ValueError):
    """The document is cut off, or no JSON where features should be."""


class Collection:
    """Splits a document that comes in blocks.

    Attributes:
        head: what stands before the list of features, once ``opened`` is called; the whole
            document where it has no such list.
        has_list: whether there is one.
        tail: what stands after the list, once all features were given.
    """

    def __init__(self, blocks: Iterable[bytes]) -> None:
        self._blocks = iter(blocks)
        self._depth = 0
        self._in_string = False
        self._escape = b""
        self._rest = b""
        self._marks: tuple[_Positions, npt.NDArray[np.int64]] | None = None
        self.head = b""
        self.tail = b""
        self.has_list = False

    def open(self) -> None:
        """Reads up to the list of features."""
        head = bytearray()
        for block in self._scanned():
            positions, depths = self._changes()
            offset = len(head)
            head += block
            if offset == 0 and head.startswith(_BOM):
                head[: len(_BOM)] = b"   "
            for position in positions[(depths == 2)].tolist():  # noqa: PLR2004 - list in an object
                at = offset + position
                if head[at : at + 1] == b"[" and _KEY.search(head[max(0, at - _KEY_BYTES) : at]):
                    self.has_list = True
                    self.head = bytes(head[:at])
                    self._rest = block[position + 1 :]
                    later = positions > position
                    self._marks = (positions[later] - position - 1, depths[later])
                    return
            _bounded(head, "what stands before its features")
        self.head = bytes(head)

    def features(self) -> Iterator[bytes]:
        """The text of each feature; SplitError where the document is cut off or has a gap.

        A text is no more than what stands between two commas: the caller parses it.
        """
        pending = bytearray()
        count = 0
        for block in self._again():
            positions, depths = self._changes()
            done = 0
            # An element ends where the depth is the list's again, the list where it is less.
            for end, depth in zip(
                (positions[depths <= 2] + 1).tolist(),  # noqa: PLR2004
                depths[depths <= 2].tolist(),  # noqa: PLR2004
                strict=True,
            ):
                pending += block[done:end]
                done = end
                if depth < 2:  # noqa: PLR2004
                    self._end(bytes(pending[:-1]), count)
                    self._take_tail(block[done:] + self._escape)
                    return
                yield _element(bytes(pending), count)
                count += 1
                pending.clear()
            pending += block[done:]
            _bounded(pending, f"feature {count + 1}")
        raise SplitError("it ends in the middle")

    def _end(self, text: bytes, count: int) -> None:
        if text.strip(_BLANK):
            raise SplitError(f"feature {count + 1} is no JSON object")

    def _take_tail(self, rest: bytes) -> None:
        tail = bytearray(rest)
        for block in self._blocks:
            tail += block
            _bounded(tail, "what stands after its features")
        self.tail = bytes(tail)

    def _again(self) -> Iterator[bytes]:
        """What ``open`` has left of its block, and the blocks after it."""
        yield self._rest
        self._rest = b""
        yield from self._scanned()

    def _scanned(self) -> Iterator[bytes]:
        for block in self._blocks:
            whole = self._escape + block
            # A backslash at the end belongs to what comes next.
            trailing = len(whole) - len(whole.rstrip(b"\\"))
            self._escape = b"\\" if trailing % 2 else b""
            whole = whole[: len(whole) - len(self._escape)]
            self._marks = self._scan(whole)
            yield whole

    def _changes(self) -> tuple[_Positions, npt.NDArray[np.int64]]:
        """Where brackets outside strings stand in the current block, and the depth after each."""
        if self._marks is None:
            raise ValueError("nothing was scanned")
        return self._marks

    def _scan(self, block: bytes) -> tuple[_Positions, npt.NDArray[np.int64]]:
        plain = _ESCAPED.sub(b"__", block) if b"\\" in block else block
        kinds = _KINDS[np.frombuffer(plain, dtype=np.uint8)]
        marks = np.flatnonzero(kinds)
        kinds = kinds[marks]
        strings = (np.cumsum(kinds == _QUOTE) + self._in_string) % 2
        is_bracket = (kinds != _QUOTE) & (strings == 0)
        depths = self._depth + np.cumsum(np.where(kinds[is_bracket] == _OPEN, 1, -1))
        if len(strings):
            self._in_string = bool(strings[-1])
        if len(depths):
            self._depth = int(depths[-1])
        return marks[is_bracket], depths


def _element(text: bytes, count: int) -> bytes:
    stripped = text.lstrip(_BLANK)
    if count:
        if not stripped.startswith(b","):
            raise SplitError(f"there is no comma before feature {count + 1}")
        stripped = stripped[1:]
    return stripped


def _bounded(held: bytearray, what: str) -> None:
    if len(held) > MOST_BYTES:
        raise SplitError(f"{what} takes more than {MOST_BYTES:,} bytes")
