"""Leaving a connection for a new one with nothing under way, as when certificates changed."""

from __future__ import annotations

import asyncio
from typing import Final

__all__ = ["RENEWED", "Renewal"]

#: Why a connection ended that was renewed.
RENEWED: Final = "closed to connect anew with the certificates as they are now"
#: What is under way by then comes, or goes, once more: nothing is lost by that.
_GRACE_S: Final = 5.0


class Renewal:
    """Whether a connection is to be renewed, and whether it may end now.

    Attributes:
        is_wanted: nothing new is begun on the connection.
        ready: set when what was under way is done, or had its grace.
    """

    def __init__(self) -> None:
        self.is_wanted = False
        self.ready = asyncio.Event()
        self._timer: asyncio.TimerHandle | None = None

    def want(self) -> None:
        """The connection is to end as soon as it may."""
        if not self.is_wanted:
            self.is_wanted = True
            self._timer = asyncio.get_running_loop().call_later(_GRACE_S, self.ready.set)

    def look(self, under_way: int) -> None:
        """So much is under way now."""
        if self.is_wanted and not under_way:
            self.ready.set()

    def over(self) -> None:
        """The connection is gone, one way or the other."""
        self.is_wanted = False
        self.ready.clear()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
