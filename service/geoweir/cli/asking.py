"""Asks a running service over HTTP: what it answers is bounded, and faults are one clear line."""

from __future__ import annotations

import argparse
import http.client
import json
import os
import ssl
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

from geoweir.cli.escaping import escaped
from geoweir.errors import ConfigurationError, GeoweirError, UsageError

if TYPE_CHECKING:
    from geoweir.settings.values import Settings

__all__ = [
    "TOKEN_VARIABLE",
    "Refused",
    "Target",
    "Unreachable",
    "add_target",
    "ask",
    "follow",
    "target_in",
    "target_of",
    "token_of",
]

TOKEN_VARIABLE: Final = "GEOWEIR_HTTP_TOKEN"  # noqa: S105 - its name

_DEFAULT_URL: Final = "http://127.0.0.1:9108"
_TIMEOUT_S: Final = 30.0  # three times as long as a stream of events is silent at most
_ANSWER_BYTES: Final = 16_000_000
_LINE_BYTES: Final = 4_000_000
_WHY_BYTES: Final = 4096
_EVERYWHERE: Final = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - compared, not bound

#: What a connection may fail with.
_FAILURES: Final = (OSError, http.client.HTTPException)


class Refused(GeoweirError):  # noqa: N818 - it is an answer
    """The service answered that it won't; ``status`` is HTTP's."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status = status


class Unreachable(GeoweirError):  # noqa: N818 - nobody is there
    """Nobody answers."""


@dataclass(frozen=True, slots=True)
class Target:
    """Where a service answers."""

    host: str
    port: int
    is_secure: bool = False
    token: str | None = field(default=None, repr=False)

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{'https' if self.is_secure else 'http'}://{host}:{self.port}"


def add_target(parser: argparse.ArgumentParser) -> None:
    """Adds the options that name a service."""
    where = parser.add_mutually_exclusive_group()
    where.add_argument(
        "-c", "--config", metavar="FILE", help="the service's configuration: http.listen and token"
    )
    where.add_argument("--url", metavar="URL", help=f"where it answers ({_DEFAULT_URL})")
    parser.add_argument(
        "--token-file", metavar="F", help=f"a file with its token (or in ${TOKEN_VARIABLE})"
    )


def target_of(args: argparse.Namespace) -> Target:
    """The service that the options name.

    Raises:
        UsageError: they name none.
        ConfigurationError: the token can't be read.
    """
    token = token_of(args)
    if args.config is None:
        return _from_url(args.url or _DEFAULT_URL, token)
    from geoweir.cli.configuration import load_or_explain

    target = target_in(load_or_explain(args.config), token)
    if target is None:
        raise UsageError(
            f"{args.config}: http.listen takes any free port. Give the address that the service "
            "printed with --url."
        )
    return target


def target_in(settings: Settings, token: str | None = None) -> Target | None:
    """Where a service of these settings answers; None where it takes any free port."""
    http_settings = settings.http
    if not http_settings.port:
        return None
    host = _EVERYWHERE.get(http_settings.host, http_settings.host)
    return Target(host, http_settings.port, token=token or http_settings.token)


def ask(target: Target, path: str, body: bytes | None = None) -> bytes:
    """The body of an answer to a GET or, where there is JSON to send, a POST.

    Raises:
        Unreachable: nobody answers.
        GeoweirError: there is no such answer; one clear line.
    """
    connection = _connection(target)
    try:
        answer = _request(connection, target, path, body)
        body = answer.read(_ANSWER_BYTES + 1)
    except _FAILURES as error:
        raise _unreachable(target, error) from None
    finally:
        connection.close()
    if len(body) > _ANSWER_BYTES:
        raise GeoweirError(f"{target}{path}: an answer of more than {_ANSWER_BYTES} bytes.")
    return body


def follow(target: Target, path: str) -> Iterator[tuple[str, bytes]]:
    """The events of a stream: name and data, until the service ends the connection.

    Raises:
        GeoweirError: there is no such stream, or the connection was lost; one clear line.
    """
    connection = _connection(target)
    name, data = "", b""
    try:
        answer = _request(connection, target, path)
        while line := answer.readline(_LINE_BYTES):
            if not line.endswith(b"\n"):
                raise GeoweirError(f"{target}{path}: a line that does not end.")
            key, _, value = line.rstrip(b"\r\n").partition(b":")
            if key == b"event":
                name = value.strip().decode(errors="replace")
            elif key == b"data":
                data = value.strip()
            elif not key and not value and data:  # an empty line ends an event
                yield name, data
                name, data = "", b""
    except TimeoutError:
        raise GeoweirError(f"{target}: nothing came for {_TIMEOUT_S:.0f} s.") from None
    except _FAILURES as error:
        raise _unreachable(target, error) from None
    finally:
        connection.close()


def _from_url(url: str, token: str | None) -> Target:
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise UsageError("--url: the address can't be read.") from None
    if parts.scheme not in {"http", "https"} or not parts.hostname or parts.path.strip("/"):
        raise UsageError("--url: write it as http://HOST:PORT.")
    is_secure = parts.scheme == "https"
    return Target(parts.hostname, port or (443 if is_secure else 80), is_secure, token)


def token_of(args: argparse.Namespace) -> str | None:
    """The token that the options or the environment name.

    Raises:
        ConfigurationError: it can't be read.
    """
    path: str | None = args.token_file
    if path is None:
        return os.environ.get(TOKEN_VARIABLE) or None
    try:
        lines = Path(path).read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError):
        raise ConfigurationError(f"--token-file {path}: can't be read.") from None
    if not lines or not lines[0].strip():
        raise ConfigurationError(f"--token-file {path}: its first line is empty.")
    return lines[0].strip()


def _connection(target: Target) -> http.client.HTTPConnection:
    if target.is_secure:
        context = ssl.create_default_context()
        return http.client.HTTPSConnection(
            target.host, target.port, timeout=_TIMEOUT_S, context=context
        )
    return http.client.HTTPConnection(target.host, target.port, timeout=_TIMEOUT_S)


def _request(
    connection: http.client.HTTPConnection, target: Target, path: str, body: bytes | None = None
) -> http.client.HTTPResponse:
    headers = {"Authorization": f"Bearer {target.token}"} if target.token else {}
    if body is not None:
        headers["Content-Type"] = "application/json"
    try:
        connection.request("GET" if body is None else "POST", path, body, headers)
    except UnicodeEncodeError:
        raise UsageError("the token has characters that HTTP can't carry.") from None
    answer = connection.getresponse()
    page = path.partition("?")[0]
    if answer.status == http.client.UNAUTHORIZED:
        raise Refused(
            answer.status,
            f"{target}: it wants a token. Name its file with --token-file, or set "
            f"{TOKEN_VARIABLE}.",
        )
    if answer.status != http.client.OK:
        raise Refused(answer.status, f"{target}{page}: {_why(answer)}")
    return answer


def _why(answer: http.client.HTTPResponse) -> str:
    """What the service says of its refusal, or the status where it says nothing."""
    try:
        body: Any = json.loads(answer.read(_WHY_BYTES))
        text = body["error"]
    except (ValueError, KeyError, TypeError):
        text = None
    return escaped(text) if isinstance(text, str) else f"it answered {answer.status}"


def _unreachable(target: Target, error: Exception) -> Unreachable:
    why = getattr(error, "strerror", None) or str(error) or type(error).__name__
    return Unreachable(
        f"{target}: {escaped(str(why))}. Start the service first, or name it with --url or -c."
    )
