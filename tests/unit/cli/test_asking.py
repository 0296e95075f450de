"""Asking a service: where it is, and one clear line for everything that can be wrong."""

from __future__ import annotations

import argparse
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from geoweir.cli import asking
from geoweir.cli.asking import (
    TOKEN_VARIABLE,
    Target,
    Unreachable,
    add_target,
    ask,
    follow,
    target_of,
)
from geoweir.errors import ConfigurationError, GeoweirError, UsageError

PAGES: dict[str, tuple[int, bytes]] = {
    "/good": (200, b"fine"),
    "/evil": (500, b'{"error":"\x1b[2J"}'),
    "/evil-escaped": (500, b'{"error":"\\u001b[2J"}'),
    "/list": (503, b"[]"),
    "/huge": (200, b"x" * 2000),
    "/events": (
        200,
        b":\n\nevent: seen\r\ndata: {}\r\n\r\n:beat\n\nid: 5\ndata: [1]\n\nevent: end\ndata: 0\n\n",
    ),
    "/endless": (200, b"data: " + b"x" * 2000),
    "/cut": (200, b"event: seen\ndata: {}"),
}


class Answers(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        status, body = PAGES[self.path]
        if self.headers.get("Authorization") not in {None, "Bearer right"}:
            status, body = 401, b"{}"
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        assert self.headers["Content-Type"] == "application/json"
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base's name
        pass


@pytest.fixture(scope="module")
def target() -> Iterator[Target]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Answers) as server:
        thread = threading.Thread(target=server.serve_forever, name="answers")
        thread.start()
        yield Target("127.0.0.1", server.server_port)
        server.shutdown()
        thread.join()


def parsed(*arguments: str) -> Target:
    parser = argparse.ArgumentParser()
    add_target(parser)
    return target_of(parser.parse_args(arguments))


def test_an_answer_is_its_body(target: Target) -> None:
    assert ask(target, "/good") == b"fine"
    assert ask(Target(target.host, target.port, token="right"), "/good") == b"fine"  # noqa: S106


@pytest.mark.parametrize(
    ("page", "said"),
    [
        ("/evil", "it answered 500"),
        ("/evil-escaped", "\\x1b[2J"),
        ("/list", "it answered 503"),
    ],
)
def test_a_refusal_is_one_printable_line(target: Target, page: str, said: str) -> None:
    with pytest.raises(GeoweirError) as caught:
        ask(target, page)
    assert str(caught.value) == f"{target}{page}: {said}"


def test_a_wrong_token_says_where_a_right_one_goes(target: Target) -> None:
    with pytest.raises(GeoweirError, match="--token-file"):
        ask(Target(target.host, target.port, token="wrong"), "/good")  # noqa: S106
    with pytest.raises(UsageError, match="can't carry"):
        ask(Target(target.host, target.port, token="\u2028"), "/good")  # noqa: S106


def test_no_service_is_one_line_that_says_what_to_do() -> None:
    with pytest.raises(GeoweirError, match=r"^http://127\.0\.0\.1:1: Connection refused\. Start"):
        ask(Target("127.0.0.1", 1), "/good")
    with pytest.raises(GeoweirError, match="Start the service first"):
        list(follow(Target("127.0.0.1", 1), "/events"))


def test_answers_and_lines_are_bounded(target: Target, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(asking, "_ANSWER_BYTES", 1000)
    monkeypatch.setattr(asking, "_LINE_BYTES", 1000)
    with pytest.raises(GeoweirError, match="more than 1000 bytes"):
        ask(target, "/huge")
    with pytest.raises(GeoweirError, match="does not end"):
        list(follow(target, "/endless"))


def test_events_have_names_and_data(target: Target) -> None:
    assert list(follow(target, "/events")) == [("seen", b"{}"), ("", b"[1]"), ("end", b"0")]


def test_half_an_event_is_none(target: Target) -> None:
    with pytest.raises(GeoweirError, match="does not end"):
        list(follow(target, "/cut"))


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ([], "http://127.0.0.1:9108"),
        (["--url", "http://gateway"], "http://gateway:80"),
        (["--url", "https://gateway/"], "https://gateway:443"),
        (["--url", "http://[::1]:9200"], "http://[::1]:9200"),
    ],
)
def test_where_a_service_is(arguments: list[str], expected: str) -> None:
    assert str(parsed(*arguments)) == expected


@pytest.mark.parametrize(
    "url", ["gateway", "ftp://a", "http://", "http://a:b", "http://a/b", "http://[a"]
)
def test_what_is_no_address(url: str) -> None:
    with pytest.raises(UsageError, match="--url"):
        parsed("--url", url)


def configured(folder: Path, listen: str) -> str:
    (folder / "token").write_text("from the configuration\n")
    file = folder / "gw.yaml"
    file.write_text(
        f"streams: {{a: {{subscribe: a/#}}}}\nhttp: {{listen: '{listen}', token_file: token}}\n"
    )
    return str(file)


def test_the_configuration_names_address_and_token(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = configured(tmp_path, "0.0.0.0:9300")
    assert parsed("-c", file) == Target("127.0.0.1", 9300, token="from the configuration")  # noqa: S106
    monkeypatch.setenv(TOKEN_VARIABLE, "from the environment")
    assert parsed("-c", file).token == "from the environment"  # noqa: S105
    other = tmp_path / "other"
    other.write_text("from a file\n")
    assert parsed("-c", file, "--token-file", str(other)).token == "from a file"  # noqa: S105


def test_a_port_that_nobody_knows_is_asked_for(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="--url"):
        parsed("-c", configured(tmp_path, "127.0.0.1:0"))


def test_a_token_that_cannot_be_read_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="can't be read"):
        parsed("--token-file", str(tmp_path / "none"))
    (tmp_path / "empty").write_text("\n")
    with pytest.raises(ConfigurationError, match="first line is empty"):
        parsed("--token-file", str(tmp_path / "empty"))


def test_a_token_is_never_shown() -> None:
    assert "secret" not in repr(Target("a", 1, token="secret"))  # noqa: S106


def test_what_is_sent_is_json_and_arrives(target: Target) -> None:
    assert ask(target, "/anything", b'{"all": true}') == b'{"all": true}'


def test_a_service_that_is_not_there_is_told_from_one_that_refuses(target: Target) -> None:
    with pytest.raises(Unreachable, match="Start the service first"):
        ask(Target("127.0.0.1", 1), "/good")
    with pytest.raises(GeoweirError) as refused:
        ask(target, "/evil")
    assert not isinstance(refused.value, Unreachable)
