"""How long to wait before the next try: exponential with full jitter, bounded."""

from __future__ import annotations

__all__ = ["Backoff"]


class Backoff:
    """Waits that double from ``first_s`` to ``most_s``, each drawn between half and whole."""

    def __init__(self, *, first_s: float = 0.1, most_s: float = 10.0) -> None:
        self._first_s = first_s
        self._most_s = most_s
        self._tries = 0

    def next_s(self, draw: float) -> float:
        """The next wait in seconds; ``draw`` is a random number from 0 to 1."""
        ceiling = min(self._most_s, self._first_s * 2.0 ** min(self._tries, 32))
        self._tries += 1
        return ceiling * (0.5 + 0.5 * draw)

    def reset(self) -> None:
        """Starts again from the shortest wait, after a success."""
        self._tries = 0
