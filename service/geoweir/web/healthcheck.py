"""``geoweir healthcheck``: asks a running service whether it is live.

A container engine runs it every few seconds on a small gateway, so it imports nothing but the
standard library's HTTP client.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from http.client import HTTPConnection, HTTPException
from typing import Final
from urllib.parse import SplitResult, urlsplit

__all__ = ["DEFAULT_URL", "main"]

DEFAULT_URL: Final = "http://127.0.0.1:9108/healthz"

_TIMEOUT_S: Final = 3.0
_MOST_BYTES: Final = 4096
_OK: Final = 200
_USAGE: Final = f"""\
usage: geoweir healthcheck [URL]

Exits 0 when the service at URL is live and 1 when it isn't, with one line that says so.
URL is {DEFAULT_URL} unless given; one without a path is asked for /healthz.

example: geoweir healthcheck http://127.0.0.1:9200
"""


def main(argv: Sequence[str]) -> int:
    """Prints one line; 0 when live, 1 when not, 2 for wrong usage."""
    if argv and argv[0] in {"-h", "--help"}:
        sys.stdout.write(_USAGE)
        return 0
    url = argv[0] if argv else DEFAULT_URL
    target = _target(url)
    if len(argv) > 1 or target is None:
        sys.stderr.write(f"healthcheck: expected one http:// URL.\n{_USAGE}")
        return 2
    is_live, line = _ask(target)
    (sys.stdout if is_live else sys.stderr).write(f"{line}\n")
    return 0 if is_live else 1


def _target(url: str) -> SplitResult | None:
    """The parts of the URL; None where it is not one that can be asked."""
    try:
        parts = urlsplit(url)
        is_usable = parts.scheme == "http" and bool(parts.hostname) and parts.port != 0
    except ValueError:
        return None
    return parts if is_usable else None


def _ask(target: SplitResult) -> tuple[bool, str]:
    connection = HTTPConnection(target.hostname or "", target.port or 80, timeout=_TIMEOUT_S)
    path = target.path if target.path.strip("/") else "/healthz"
    where = f"{target.hostname}:{connection.port}{path}"
    try:
        connection.request("GET", path)
        answer = connection.getresponse()
        body = answer.read(_MOST_BYTES).decode(errors="replace")
    except (OSError, HTTPException) as error:
        return False, f"not live: {where}: {str(error) or type(error).__name__}"
    finally:
        connection.close()
    if answer.status == _OK:
        return True, f"live: {where}"
    shown = "".join(c if c.isprintable() else " " for c in body)
    return False, f"not live: {where} answered {answer.status}: {shown}"
