"""A service that stands still is ended by whoever started it, and the next one finds everything.

The manager is a double of systemd, and the image's own first process, compiled here.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from geoweir.core.progress import patience
from support.blocking import BLOCKER
from support.brokers import Broker, needs_mosquitto, open_broker
from support.eventually import eventually
from support.manager import Manager
from support.outside import Sender, point
from support.service import Geoweir, descendants

PROJECT = Path(__file__).parents[2]


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Broker]:
    (tmp_path / "broker").mkdir()
    with open_broker(tmp_path / "broker") as broker:
        yield broker


def configuration(broker: Broker) -> dict[str, Any]:
    """The pool's deadline is the default."""
    return {
        "mqtt": {"url": broker.url, "protocol": broker.protocol},
        "streams": {"buses": {"subscribe": "buses/+"}},
        "pool": {"workers": 2},
        "watchdog": {"interval": "200ms"},
        "shutdown_grace": "2s",
    }


def blocking(folder: Path) -> dict[str, str]:
    """An environment in which SIGUSR2 blocks the loop of a service."""
    (folder / "sitecustomize.py").write_text(BLOCKER, encoding="utf-8")
    path = os.pathsep.join([str(folder), os.environ.get("PYTHONPATH", "")])
    return {"PYTHONPATH": path}


def send(broker: Broker, count: int) -> None:
    with Sender(broker) as sender:
        sender.send((f"buses/{i}", point(i)) for i in range(count))


def stop_pool(pid: int) -> None:
    """Leaves the service without workers, and without anybody who would make new ones."""
    below = descendants(pid)
    commands = {p: Path(f"/proc/{p}/cmdline").read_bytes() for p in below}
    (server,) = [p for p, text in commands.items() if b"forkserver" in text and parent(p) == pid]
    os.kill(server, signal.SIGSTOP)
    for worker in descendants(server):
        os.kill(worker, signal.SIGKILL)


def parent(pid: int) -> int:
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])


def revived(service: Geoweir, broker: Broker) -> None:
    """Starts the service again, as its manager would, and looks at the account."""
    assert service.wait() != 0
    service.start()
    account = service.wait_settled(20)
    assert account["unaccounted"] == 0
    send(broker, 5)
    assert service.wait_settled(25)["streams"]["buses"]["published"] == 25
    assert service.stop() == 0


@pytest.mark.parametrize("is_abstract", [False, True])
def test_the_manager_hears_of_the_whole_life(
    broker: Broker, tmp_path: Path, is_abstract: bool
) -> None:
    with (
        Manager(tmp_path, is_abstract=is_abstract) as manager,
        Geoweir(configuration(broker), tmp_path, environment=manager.environment) as service,
    ):
        manager.wait("READY=1")
        environments = [
            Path(f"/proc/{pid}/environ").read_bytes() for pid in descendants(service.pid)
        ]
        assert environments
        assert service.stop() == 0
        manager.wait("STOPPING=1")

    assert not [text for text in environments if b"NOTIFY_SOCKET" in text]
    assert manager.lines.index("READY=1") < manager.lines.index("STOPPING=1")
    assert manager.ended == []


@pytest.mark.mosquitto
def test_a_broker_that_does_not_answer_is_no_reason_to_be_started_again(
    broker: Broker, tmp_path: Path
) -> None:
    needs_mosquitto()
    short = configuration(broker) | {"pool": {"workers": 2, "timeout": "500ms"}}
    with (
        Manager(tmp_path, watchdog_s=1.0) as manager,
        Geoweir(short, tmp_path, environment=manager.environment) as service,
        Sender(broker) as sender,
    ):
        manager.wait("READY=1")
        sender.post((f"buses/{i}", point(i)) for i in range(2000))
        eventually(lambda: service.account()["streams"]["buses"]["in_flight"])
        broker.mosquitto.signal(signal.SIGSTOP)
        held = service.stream("buses")["in_flight"]
        time.sleep(patience(0.5) + 2)
        broker.mosquitto.signal(signal.SIGCONT)
        service.wait_settled(2000)
        assert held
        assert manager.ended == []
        assert service.stop() == 0


@pytest.mark.parametrize("fault", ["stopped", "blocked", "pool"])
def test_the_manager_ends_what_stands_still_and_nothing_is_lost(
    broker: Broker, tmp_path: Path, fault: str
) -> None:
    with (
        Manager(tmp_path) as manager,
        Geoweir(
            configuration(broker),
            tmp_path,
            environment=manager.environment | blocking(tmp_path),
        ) as service,
    ):
        manager.wait("READY=1")
        stand_still(service, fault)
        send(broker, 20)
        eventually(lambda: manager.ended, 20)
        assert service.wait() != 0
        assert "Fatal Python error: Aborted" in service.log()
        service.environment = {}
        revived(service, broker)


def stand_still(service: Geoweir, fault: str) -> None:
    if fault == "pool":
        stop_pool(service.pid)
    else:
        service.signal(signal.SIGSTOP if fault == "stopped" else signal.SIGUSR2)


# The image's first process, which is the manager where there is no systemd.


@pytest.fixture(scope="session")
def init(tmp_path_factory: pytest.TempPathFactory) -> str:
    if (compiler := shutil.which("cc") or shutil.which("gcc")) is None:
        pytest.skip("no C compiler")
    program = tmp_path_factory.mktemp("init") / "geoweir-init"
    flags = ["-std=c11", "-O1", "-Wall", "-Wextra", "-Werror"]
    flags += ["-fsanitize=undefined", "-fno-sanitize-recover"]
    subprocess.run(
        [
            compiler,
            *flags,
            "-fno-sanitize-recover",
            "-o",
            str(program),
            str(PROJECT / "docker/init.c"),
        ],
        check=True,
    )
    return str(program)


class Supervised(Geoweir):
    """A service below the image's first process."""

    def __init__(self, init: str, broker: Broker, folder: Path) -> None:
        super().__init__(configuration(broker), folder, environment=blocking(folder))
        self.socket = folder / "init.sock"
        self.command = [init, "-w", "2", "-a", "1", "-s", str(self.socket), "--"]
        self.init = init

    def service_pid(self) -> int:
        """The service itself."""
        (found,) = [pid for pid in descendants(self.pid) if parent(pid) == self.pid]
        return found

    def health(self) -> subprocess.CompletedProcess[str]:
        """What the image's health check does."""
        command = [self.init, "-H", "-s", str(self.socket)]
        return subprocess.run(command, capture_output=True, text=True, timeout=10, check=False)


@pytest.mark.parametrize("fault", ["stopped", "blocked", "pool"])
def test_the_first_process_ends_what_stands_still(
    init: str, broker: Broker, tmp_path: Path, fault: str
) -> None:
    with Supervised(init, broker, tmp_path) as service:
        eventually(lambda: service.health().returncode == 0)
        pid, since = service.service_pid(), time.monotonic()
        if fault == "pool":
            stop_pool(pid)
        else:
            os.kill(pid, signal.SIGSTOP if fault == "stopped" else signal.SIGUSR2)
        send(broker, 20)
        assert service.wait(20) == 128 + signal.SIGABRT
        assert time.monotonic() - since < 15  # the bar of 10 s is measured in the container
        assert "Fatal Python error: Aborted" in service.log()
        assert "geoweir-init: " in service.log()
        revived(service, broker)


def test_the_health_check_tells_each_phase(init: str, broker: Broker, tmp_path: Path) -> None:
    with Supervised(init, broker, tmp_path) as service:
        eventually(lambda: service.health().returncode == 0)
        assert service.health().stdout.startswith("live, last sign of life ")
        assert service.stop() == 0
        ended = service.health()
        assert (ended.returncode, ended.stdout) == (1, "")
        assert "no service was started here" in ended.stderr


def run_init(
    init: str, folder: Path, script: str, *options: str
) -> subprocess.CompletedProcess[str]:
    command = [init, *options, "-s", str(folder / "init.sock"), "--", sys.executable, "-c", script]
    return subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)


NOTIFY = """
import os, socket, sys, time
def say(text):
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as s:
        s.sendto(text.encode(), os.environ["NOTIFY_SOCKET"])
"""


@pytest.mark.parametrize(
    ("script", "status"),
    [
        ("raise SystemExit(0)", 0),
        ("raise SystemExit(7)", 7),
        ("import os; os.kill(os.getpid(), 9)", 137),
        # Whoever says nothing is never ended.
        ("import time; time.sleep(1)", 0),
        # One that leaves in order when it is given up must still be started again.
        (
            NOTIFY + "import signal; signal.signal(signal.SIGABRT, lambda *_: os._exit(0))\n"
            "say('READY=1'); time.sleep(20)",
            1,
        ),
        # SIGKILL follows where SIGABRT does nothing.
        (
            NOTIFY + "import signal; signal.signal(signal.SIGABRT, signal.SIG_IGN)\n"
            "say('READY=1'); time.sleep(20)",
            137,
        ),
        # A start that takes longer than it asked for.
        (NOTIFY + "say('EXTEND_TIMEOUT_USEC=100000'); time.sleep(20)", 134),
        # What is no number is the longest time.
        (NOTIFY + "say('EXTEND_TIMEOUT_USEC=-1x'); time.sleep(1)", 0),
        # Another process must not speak for the service: neither feed nor trigger.
        (
            NOTIFY + "say('READY=1')\n"
            "if os.fork() == 0:\n"
            "    while True: say('WATCHDOG=1'); time.sleep(0.05)\n"
            "time.sleep(20)",
            134,
        ),
        (
            NOTIFY + "if os.fork() == 0: say('WATCHDOG=trigger'); os._exit(0)\nos.wait(); "
            "time.sleep(0.5)",
            0,
        ),
    ],
)
def test_the_exit_status_of_the_first_process(
    init: str, tmp_path: Path, script: str, status: int
) -> None:
    ended = run_init(init, tmp_path, script, "-w", "0.5", "-a", "0.3")

    assert ended.returncode == status, ended.stderr


def test_it_reaps_orphans(init: str, tmp_path: Path) -> None:
    script = """
import os, time
if os.fork() == 0:
    if os.fork() == 0:
        time.sleep(0.2)
    os._exit(0)
os.wait()
time.sleep(0.6)
children = open(f"/proc/{os.getppid()}/task/{os.getppid()}/children").read().split()
print(children == [str(os.getpid())])
"""
    assert run_init(init, tmp_path, script).stdout == "True\n"


def test_signals_reach_the_service(init: str, tmp_path: Path) -> None:
    script = "import signal; print('up', flush=True); print(signal.sigwait({1}), flush=True)"
    script = "import signal; signal.pthread_sigmask(0, {1}); " + script
    command = [init, "-s", str(tmp_path / "init.sock"), sys.executable, "-c", script]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "up\n"
        process.send_signal(signal.SIGHUP)
        assert process.stdout.readline() == "1\n"


def test_no_service_writes_a_core(init: str, tmp_path: Path) -> None:
    script = "import resource; print(resource.getrlimit(resource.RLIMIT_CORE))"

    assert run_init(init, tmp_path, script).stdout == "(0, 0)\n"


@pytest.mark.parametrize("options", [[], ["-w", "0"], ["-w", "x", "true"], ["-H", "true"], ["-z"]])
def test_wrong_usage_is_said(init: str, options: list[str]) -> None:
    ended = subprocess.run([init, *options], capture_output=True, text=True, check=False)

    assert ended.returncode == 2
    assert ended.stderr.startswith(("usage: ", str(init)))


def test_a_socket_that_cannot_be_made_is_said(init: str, tmp_path: Path) -> None:
    ended = subprocess.run(
        [init, "-s", str(tmp_path / "no" / "such"), "true"],
        capture_output=True,
        text=True,
        check=False,
    )

    assert ended.returncode == 1
    assert "No such file or directory" in ended.stderr
