"""Errors in families by whose fault they are.

The message says what was expected, what came, and what to do. A user who can cause an error sees
its message as one line, never a traceback.
"""

from __future__ import annotations

__all__ = [
    "BrokerError",
    "ConfigurationError",
    "GeoweirError",
    "SenderError",
    "StateError",
    "UsageError",
    "WorkerError",
]


class GeoweirError(Exception):
    """Something that geoweir can name."""


class ConfigurationError(GeoweirError):
    """The configuration, or a file it names, is at fault."""


class UsageError(GeoweirError):
    """The command line is at fault."""


class SenderError(GeoweirError):
    """An input is at fault; ``reason`` is from the closed list of rejected reasons."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(detail)
        self.reason = reason
        self.detail = detail


class BrokerError(GeoweirError):
    """The broker can't be reached, or refused."""


class StateError(GeoweirError):
    """The state store can't keep or read now; ``why`` is one of ``core.kept.TROUBLES``."""

    def __init__(self, why: str, detail: str) -> None:
        super().__init__(detail)
        self.why = why
        self.detail = detail


class WorkerError(GeoweirError):
    """A worker process broke its word."""
