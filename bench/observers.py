"""What watching costs: a stream with nobody who looks, and with ten who do.

    python bench/observers.py [--watchers 10]

The watchers are `geoweir tap`, each a process of its own, which shares the machine with the
service: look at the CPU of the service for each message first. Without that command there is
nothing to measure, and this says so.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from brokers import mosquitto
from candidates import started_geoweir
from configurations import configuration
from errors import MissingError
from observed import LoopLag, account_faults, final_account
from outside import Job
from phases import Costs, Source, faults_of, run_job
from reports import add_json, folder_of_run, header, keep, main_of, positive
from table import markdown, spread
from workload import prepare


def measured(top: Path, layer: Path, number: int, args: argparse.Namespace) -> dict[str, Any]:
    """One round: the same service with and without, by turns."""
    folder = top / f"{number}"
    folder.mkdir()
    with mosquitto(folder) as broker, ExitStack() as running:
        config = configuration(broker.port, "5", layer)
        process = running.enter_context(started_geoweir(folder, config))
        source = Source(
            Job(port=broker.port, folder=str(top / "workload"), first=0, count=0, check="join")
        )
        result: dict[str, Any] = {"round": number, "faults": []}
        for count in (0, args.watchers) if number % 2 == 0 else (args.watchers, 0):
            with _watchers(count, process.url):
                warm_up, job = source.warmed_up(args.seconds)
                lag = LoopLag.read(process.url)
                costs = Costs(process.pid, broker.pid)
                seen = run_job(job)
                result["watched" if count else "alone"] = {
                    "saturated": seen,
                    "cpu_us": costs.since(seen),
                    "lag_p99_ms": LoopLag.read(process.url).p99_ms(lag),
                }
            result["faults"] += faults_of(f"{count} watchers", seen)
            result["faults"] += faults_of(f"{count} watchers, warm-up", warm_up)
        result["faults"] += account_faults(final_account(process.url))
    return result


def is_a_command() -> bool:
    """Whether this geoweir has `tap`."""
    asked = [sys.executable, "-m", "geoweir", "tap", "--help"]
    return subprocess.run(asked, capture_output=True, check=False).returncode == 0


@contextmanager
def _watchers(count: int, url: str) -> Iterator[None]:
    command = [sys.executable, "-m", "geoweir", "tap", "positions", "--url", url]
    processes = [
        subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        for _ in range(count)
    ]
    try:
        yield
        ended = sum(process.poll() is not None for process in processes)
        if ended:
            raise MissingError(f"{ended} of {count} watchers ended: geoweir tap can't watch {url}")
    finally:
        for process in processes:
            process.terminate()
        for process in processes:
            process.wait()


def _table(runs: Sequence[dict[str, Any]], watchers: int) -> str:
    rows = []
    for name, label in (("alone", "0"), ("watched", f"{watchers}")):
        these = [run[name] for run in runs]
        ratios = [
            run[name]["saturated"]["rate"] / run["alone"]["saturated"]["rate"] for run in runs
        ]
        rows.append(
            [
                label,
                spread([one["saturated"]["rate"] for one in these], "{:.0f}"),
                spread(ratios, "{:.2f}"),
                spread([one["cpu_us"]["parent"] for one in these], "{:.1f}"),
                spread([one["cpu_us"]["workers"] for one in these], "{:.1f}"),
                spread([one["lag_p99_ms"] for one in these], "{:.1f}"),
            ]
        )
    head = ["watchers", "messages/s", "by none", "service CPU µs", "workers", "loop lag p99 ms"]
    return markdown(head, rows)


def _arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=(__doc__ or "").partition("\n")[0],
        epilog="Example: python bench/observers.py --rounds 5",
    )
    parser.add_argument("--watchers", type=positive(int), default=10, metavar="N", help="(10)")
    parser.add_argument("--rounds", type=positive(int), default=3, metavar="N")
    parser.add_argument("--seconds", type=positive(float), default=5.0, metavar="S", help="(5)")
    add_json(parser, "observers")
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> int:
    """Prints the table; 1 where something was at fault."""
    args = _arguments(argv)
    if not is_a_command():
        print("skipped: observers: this geoweir has no command tap")
        return 0
    report = header(watchers=args.watchers, runs=[])
    with folder_of_run() as top:
        layer = prepare(top / "workload").layer
        for number in range(args.rounds):
            report["runs"].append(measured(top, layer, number, args))
            print(
                f"round {number + 1}/{args.rounds}",
                *report["runs"][-1]["faults"],
                sep="  ",
                file=sys.stderr,
                flush=True,
            )
    keep(report, args.json)
    print(_table(report["runs"], args.watchers))
    return 1 if any(one["faults"] for one in report["runs"]) else 0


if __name__ == "__main__":
    sys.exit(main_of("observers", main))
