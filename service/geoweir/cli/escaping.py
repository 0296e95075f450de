"""Text from the network for a terminal: ids are hostile, and a terminal obeys what it is sent."""

from __future__ import annotations

__all__ = ["escaped"]


def escaped(text: str) -> str:
    r"""The text with everything that a terminal would act on written as ``\x1b`` or ``\u202e``.

    Controls, bidirectional overrides and other characters without a shape of their own; a backslash
    is doubled, so that two texts never look the same.
    """
    if text.isprintable() and "\\" not in text:
        return text
    return "".join(_shown(character) for character in text)


def _shown(character: str) -> str:
    if character == "\\":
        return "\\\\"
    if character.isprintable():
        return character
    return character.encode("unicode_escape", "replace").decode("ascii")
