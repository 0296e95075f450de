"""Which requests may change something.

A page of a hostile site can make a browser on this machine send requests here; so a write must not
be one that a browser sends for a stranger, and it brings the token, or, where none is set, comes
from this machine to a service that listens to nobody else.
"""

from __future__ import annotations

from ipaddress import ip_address
from typing import Final
from urllib.parse import urlsplit

from aiohttp import web

from geoweir.web.connections import problem

__all__ = ["is_loopback", "refuse_write"]

_JSON: Final = "application/json"


def refuse_write(request: web.BaseRequest, *, most_bytes: int) -> web.Response | None:
    """What is wrong with the form of a writing request; None where nothing is."""
    if request.method != "POST":
        answer = problem(405, "only POST")
        answer.headers["Allow"] = "POST"
        return answer
    if not _is_own_origin(request):
        return problem(403, "a page of another site may not change anything here")
    # A form can't send this type without asking first, and that is not answered.
    if request.content_type != _JSON:
        return problem(415, f"the body must be {_JSON}")
    if request.content_length is None:
        return problem(411, "Content-Length is needed")
    if request.content_length > most_bytes:
        return problem(413, f"the body has more than {most_bytes} bytes")
    return None


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches what listens on a host."""
    if host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


def _is_own_origin(request: web.BaseRequest) -> bool:
    """Whether no browser says that another site's page sends it."""
    if request.headers.get("Sec-Fetch-Site", "none") not in {"none", "same-origin"}:
        return False
    origin = request.headers.get("Origin")
    if origin is None:
        return True
    parts = urlsplit(origin) if len(origin) < 300 else None  # noqa: PLR2004 - longer than a name
    return parts is not None and parts.netloc.lower() == request.headers.get("Host", "").lower()
