"""A canary in every place where a secret may stand, a run with crashes, and a search for it."""

from __future__ import annotations

import json
import signal
import subprocess
import urllib.request
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from support.brokers import needs_mosquitto, open_mosquitto
from support.eventually import eventually
from support.mischief import write_mischief
from support.mosquitto import free_port
from support.outside import Listener, Sender, point
from support.service import Geoweir, command, descendants, outcomes_of, workers

_USER, _PASSWORD, _TOKEN = "harbour", "canary-7f3a-password", "canary-7f3a-token"
_PAGES = ("/", "/metrics", "/healthz", "/readyz", "/api/account", "/api/state", "/api/kept")


def _configuration(url: str) -> dict[str, Any]:
    return {
        "mqtt": {"url": url, "password_file": "password"},
        "http": {"listen": f"127.0.0.1:{free_port()}", "token_file": "token"},
        "streams": {"s": {"subscribe": "in/#", "steps": [{"python": "mischief:obey"}]}},
        "pool": {"workers": 1, "timeout": "500ms"},
        "state": {"path": "state.db"},
        "queue": {"when_full": "spill", "spill": {"path": "spill"}},
        "log": {"level": "debug"},
    }


def _get(service: Geoweir, path: str) -> bytes:
    asked = urllib.request.Request(  # noqa: S310
        service.url + path, headers={"Authorization": f"Bearer {_TOKEN}"}
    )
    with urllib.request.urlopen(asked, timeout=10) as answer:  # noqa: S310
        return bytes(answer.read())


def _settled(service: Geoweir) -> int:
    return sum(map(outcomes_of, json.loads(_get(service, "/api/account"))["streams"].values()))


def _environment(pid: int) -> bytes:
    return Path(f"/proc/{pid}/environ").read_bytes() + Path(f"/proc/{pid}/cmdline").read_bytes()


def _files(folder: Path) -> Iterator[Path]:
    secret = {folder / "password", folder / "token"}
    return (path for path in folder.rglob("*") if path.is_file() and path not in secret)


def test_t26_a_canary_is_nowhere_but_where_it_was_put(tmp_path: Path) -> None:
    needs_mosquitto()
    write_mischief(tmp_path)
    (tmp_path / "password").write_text(_PASSWORD)
    (tmp_path / "token").write_text(_TOKEN)
    subprocess.run(
        ["mosquitto_passwd", "-b", "-c", str(tmp_path / "users"), _USER, _PASSWORD], check=True
    )
    extra = f"password_file {tmp_path / 'users'}\n"
    given = {
        "GEOWEIR_MQTT_USERNAME": _USER,
        "GEOWEIR_MQTT_PASSWORD": _PASSWORD,
        "GEOWEIR_HTTP_TOKEN": _TOKEN,
    }
    found: dict[str, bytes] = {}
    with open_mosquitto(tmp_path / "broker", extra=extra) as broker:
        service = Geoweir(_configuration(broker.url), tmp_path, environment=given)
        devices = replace(broker, username=_USER, password=_PASSWORD)
        with Listener(devices) as listener, Sender(devices) as sender, service:
            found["check"] = _check(tmp_path, given)
            doings = ["segfault", "kill", "hang", "raise", "drop", "environ", None]
            sender.send((f"in/{n}", point(n, do=do, value="x")) for n, do in enumerate(doings))
            sender.send([("in/x", b"junk")])
            eventually(lambda: _settled(service) == len(doings) + 1, 60, service.log)
            found |= {f"page {page}": _get(service, page) for page in _PAGES}
            for pid in descendants(service.pid):
                found[f"environment of {pid}"] = _environment(pid)
            assert workers(service)
            found["messages"] = b"".join(message.payload for message in listener.heard)
            service.signal(signal.SIGABRT)
            eventually(lambda: not service.is_running())
            service.start()  # and once more, over what the crash left
            service.stop()
    found |= {str(path.relative_to(tmp_path)): path.read_bytes() for path in _files(tmp_path)}
    del found["users"]
    assert len(found) > 15
    told = {place for place, text in found.items() if b"7f3a" in text}
    assert not told
    assert not list(tmp_path.rglob("core*"))


def _check(folder: Path, environment: dict[str, str]) -> bytes:
    done = command(
        "check", "-c", "geoweir.yaml", "--connect", folder=folder, seconds=60, **environment
    )
    assert done.returncode == 0, done.stdout + done.stderr
    as_json = command(
        "check", "-c", "geoweir.yaml", "--format", "json", folder=folder, seconds=60, **environment
    )
    json.loads(as_json.stdout)
    return (done.stdout + done.stderr + as_json.stdout + as_json.stderr).encode()
