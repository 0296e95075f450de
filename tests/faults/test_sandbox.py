"""Users' steps that reach for more than their chunk are refused, and nothing else comes of it."""

from __future__ import annotations

from pathlib import Path

import pytest

from support.mosquitto import free_port
from support.outside import point
from support.running import run_service
from support.service import workers

_MODULE = """\
import ctypes, os, socket, subprocess, threading


def reach(chunk):
    for i, properties in enumerate(chunk.properties):
        what = properties.get("do")
        attempt(what)


def attempt(what):
    match what:
        case "open":
            open("/etc/passwd").close()
        case "write":
            open("/tmp/geoweir-was-here", "w").close()
        case "socket":
            socket.socket().close()
        case "exec":
            os.execv("/bin/true", ["true"])
        case "run":
            subprocess.run(["/bin/true"])
        case "fork":
            if os.fork() == 0:
                os._exit(0)
        case "kill":
            os.kill(os.getppid(), 0)
        case "thread":
            threading.Thread(target=print).start()
        case "environ":
            open(f"/proc/{os.getppid()}/environ").close()
        case "import":
            import this
        case "ptrace":
            libc = ctypes.CDLL(None, use_errno=True)
            if libc.ptrace(16, os.getppid(), 0, 0):
                raise OSError(ctypes.get_errno(), "ptrace")
"""
_TRIES = ("open", "write", "socket", "exec", "run", "fork", "kill", "thread", "environ", "ptrace")


def configuration(sandbox: str) -> dict[str, object]:
    return {
        "streams": {"s": {"subscribe": "in/#", "steps": [{"python": "reaching:reach"}]}},
        "pool": {"workers": 1, "sandbox": sandbox},
        "http": {"listen": f"127.0.0.1:{free_port()}"},
    }


def test_t25_what_a_step_may_not_do_is_that_features_error(tmp_path: Path) -> None:
    (tmp_path / "reaching.py").write_text(_MODULE, encoding="utf-8")
    with run_service(tmp_path, configuration("strict")) as running:
        service = running.service
        if not service.metric("geoweir_workers_sandboxed"):
            pytest.skip("this kernel has no sandbox")
        before = service.pid, workers(service)
        tries = [*_TRIES, "import"]
        running.sender.send((f"in/{what}", point(what, do=what)) for what in tries)
        running.sender.send([("in/good", point("good"))])
        service.wait_settled(len(tries) + 1)
        said = {what: running.result(f"geoweir/s/{what}").body["geoweir"] for what in tries}
        assert {one["status"] for one in said.values()} == {"error"}
        for what in _TRIES:
            message = said[what]["message"]
            assert "pool.sandbox: off" in message or "can't start new thread" in message
        assert (service.pid, workers(service)) == before
        assert service.stream("s")["published"] == len(tries) + 1
        assert service.account()["unaccounted"] == 0
        assert not Path("/tmp/geoweir-was-here").exists()
        assert "sandbox how=seccomp" in service.log()


def test_t25_off_is_off_and_said(tmp_path: Path) -> None:
    (tmp_path / "reaching.py").write_text(_MODULE, encoding="utf-8")
    with run_service(tmp_path, configuration("off")) as running:
        assert running.service.metric("geoweir_workers_sandboxed") == 0
        assert "WARNING sandbox how=off" in running.service.log()
        running.sender.send([("in/open", point("open", do="open"))])
        running.result("geoweir/s/open")
