import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from geoweir.web.healthcheck import main


class Answer(BaseHTTPRequestHandler):
    """Says 200 on /healthz and 503 with a control character elsewhere."""

    def do_GET(self) -> None:
        body = b'{"live":false,"detail":"\x1b[2J"}'
        self.send_response(200 if self.path == "/healthz" else 503)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base's name
        pass


@pytest.fixture
def port() -> Iterator[int]:
    with HTTPServer(("127.0.0.1", 0), Answer) as server:
        thread = threading.Thread(target=server.serve_forever, name="answers")
        thread.start()
        yield server.server_port
        server.shutdown()
        thread.join()


@pytest.mark.parametrize("path", ["", "/", "/healthz"])
def test_a_live_service_is_exit_0_and_one_line(
    port: int, path: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([f"http://127.0.0.1:{port}{path}"]) == 0
    assert capsys.readouterr() == (f"live: 127.0.0.1:{port}/healthz\n", "")


def test_a_service_that_is_not_live_is_exit_1_with_its_answer(
    port: int, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([f"http://127.0.0.1:{port}/readyz"]) == 1

    line = capsys.readouterr().err
    assert "answered 503" in line
    assert "\x1b" not in line
    assert line.count("\n") == 1


def test_no_service_is_exit_1(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["http://127.0.0.1:1/healthz"]) == 1
    assert "Connection refused" in capsys.readouterr().err


@pytest.mark.parametrize(
    "argv", [["ftp://x/"], ["nothing"], ["http://"], ["http://a:b/"], ["http://a", "http://b"]]
)
def test_what_is_no_url_is_wrong_usage(argv: list[str]) -> None:
    assert main(argv) == 2


def test_help_has_an_example(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--help"]) == 0
    assert "example:" in capsys.readouterr().out


def test_the_check_imports_no_third_party() -> None:
    code = (
        "import sys, geoweir.web.healthcheck\n"
        "heavy = {'aiohttp', 'numpy', 'pydantic', 'orjson', 'asyncio', 'prometheus_client'}\n"
        "sys.exit(','.join(heavy & set(sys.modules)) or 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], check=False, capture_output=True, text=True)

    assert done.stderr == ""
    assert done.returncode == 0
