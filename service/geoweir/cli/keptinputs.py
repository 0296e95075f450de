"""Where ``reconcile`` finds kept inputs: at a running service, or in the file of a stopped one."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Protocol
from urllib.parse import quote, urlencode

from geoweir.cli.asking import Target, ask
from geoweir.errors import ConfigurationError, GeoweirError

__all__ = ["AtService", "InFiles", "KeptInputs", "Wanted", "files_of"]

_PAGE: Final = 500  # inputs in one answer


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """Which kept inputs are meant; times are Unix seconds."""

    stream: str | None = None
    outcome: str | None = None
    reason: str | None = None
    since: float | None = None
    until: float | None = None

    def members(self) -> dict[str, Any]:
        """What is given, by its name in requests."""
        names = ("stream", "outcome", "reason", "since", "until")
        return {name: value for name in names if (value := getattr(self, name)) is not None}


class KeptInputs(Protocol):
    """Kept inputs as JSON has them (``web.kept``)."""

    def each(self, wanted: Wanted) -> Iterator[dict[str, Any]]:
        """Descriptions, the longest kept first."""
        ...

    def one(self, name: str) -> dict[str, Any]:
        """One input with headers and payload; ``name`` may be the beginning of an id.

        Raises:
            GeoweirError: there is none, or there are several.
        """
        ...


class AtService:
    """Kept inputs of a running service."""

    def __init__(self, target: Target) -> None:
        self._target = target

    def each(self, wanted: Wanted) -> Iterator[dict[str, Any]]:
        """Descriptions, page by page."""
        after, more = 0, True
        while more:
            query = urlencode({**wanted.members(), "after": after, "limit": _PAGE})
            answer = self._ask(f"/api/kept?{query}")
            yield from answer["kept"]
            after, more = int(answer["after"]), bool(answer["more"] and answer["kept"])

    def one(self, name: str) -> dict[str, Any]:
        """One input."""
        return self._ask(f"/api/kept/{quote(name, safe='')}")

    def state(self) -> dict[str, Any]:
        """How the store is."""
        found: dict[str, Any] = self._ask("/api/kept?limit=1")["store"]
        return found

    def send_again(self, body: dict[str, Any]) -> dict[str, Any]:
        """Asks for a retry; the answer."""
        return self._ask("/api/kept/retry", json.dumps(body).encode())

    def _ask(self, path: str, body: bytes | None = None) -> dict[str, Any]:
        data = ask(self._target, path, body)
        try:
            answer = json.loads(data)
        except (ValueError, RecursionError):
            answer = None
        if not isinstance(answer, dict):
            raise GeoweirError(f"{self._target}: it sent what is no answer of geoweir's.")
        return answer


class InFiles:
    """Kept inputs of a service that doesn't run; the files are only read."""

    def __init__(self, files: Sequence[Path]) -> None:
        self._files = files

    def each(self, wanted: Wanted) -> Iterator[dict[str, Any]]:
        """Descriptions, file by file."""
        from dataclasses import replace

        from geoweir.core.kept import Selection
        from geoweir.store.reading import open_for_reading
        from geoweir.web.kept import description

        for file in self._files:
            selection = Selection(**wanted.members())
            with open_for_reading(file) as table:
                while page := table.find(selection, _PAGE):
                    yield from map(description, page)
                    selection = replace(selection, after=page[-1].sequence)

    def one(self, name: str) -> dict[str, Any]:
        """One input."""
        from geoweir.core.kept import Selection
        from geoweir.store.reading import open_for_reading
        from geoweir.web.kept import whole

        found: list[dict[str, Any]] = []
        for file in self._files:
            with open_for_reading(file) as table:
                found += map(whole, table.load(Selection(ids=(name,)), 2, _ALL_BYTES))
        if not found:
            raise GeoweirError(f"no kept input has the id {name}.")
        if len(found) > 1:
            raise GeoweirError(f"several kept inputs have ids that begin {name}: write more of it.")
        return found[0]


_ALL_BYTES: Final = 64_000_000


def files_of(path: str | None) -> list[Path]:
    """The files of a stopped service, or of its processes where it ran as several.

    Raises:
        ConfigurationError: there are none.
    """
    if path is None:
        raise ConfigurationError(
            "the service does not answer, and state.path is null: what was kept ended with it."
        )
    whole = Path(path)
    parts = sorted(
        part
        for part in whole.parent.glob("*-p*")
        if part.name.removeprefix(f"{whole.name}-p").isdigit() and part.name.startswith(whole.name)
    )
    files = [file for file in (whole, *parts) if file.is_file()]
    if not files:
        raise ConfigurationError(f"{whole}: there is no such file: nothing was kept there yet.")
    return files
