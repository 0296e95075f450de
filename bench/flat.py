"""Whether the cost stays flat: with many devices, and over a long run.

    python bench/flat.py [--devices 1,100,10000] [--long 10000000]

The same positions, shared out among so many devices: every device has its own topic, in and out.
The numbers of devices take turns, round by round. The long run is one of its own and shows how the
memory of the service grows with the messages, if it does.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

import numpy as np

from brokers import mosquitto
from candidates import Started, started_geoweir
from configurations import configuration
from observed import account_faults, final_account
from outside import Job
from phases import Costs, Source, faults_of, run_job
from processes import Memory, peak_rss_mb, watched
from reports import add_json, folder_of_run, header, keep, main_of, positive
from table import markdown, spread
from workload import prepare

_LONG_DEVICES: Final = 1000
_WATCH_S: Final = 1.0


def short(top: Path, devices: Sequence[int], args: argparse.Namespace) -> Iterator[dict[str, Any]]:
    """Every number of devices in every round, at saturation."""
    layers = {some: prepare(top / f"{some}", devices=some).layer for some in devices}
    for number in range(args.rounds):
        start = number % len(devices)
        for some in [*devices[start:], *devices[:start]]:
            folder = top / f"{number}-{some}"
            with _service(folder, layers[some], args.protocol) as (process, broker_pid, port):
                source = Source(_job(port, top / f"{some}", check="join"))
                warm_up, job = source.warmed_up(args.seconds)
                costs = Costs(process.pid, broker_pid)
                seen = run_job(job)
                result: dict[str, Any] = {
                    "round": number,
                    "devices": some,
                    "saturated": seen,
                    "cpu_us": costs.since(seen),
                    "peak_rss_mb": peak_rss_mb(process.pid),
                    "faults": faults_of("warm-up", warm_up)
                    + faults_of("saturated", seen)
                    + account_faults(final_account(process.url)),
                }
            rate = seen["rate"]
            print(
                f"round {number + 1}/{args.rounds} {some} devices {rate:8.0f} messages/s",
                *result["faults"],
                sep="  ",
                file=sys.stderr,
                flush=True,
            )
            yield result


def long(top: Path, count: int, protocol: str) -> dict[str, Any]:
    """One run with many messages, as fast as they come back."""
    layer = prepare(top / "long", devices=_LONG_DEVICES).layer
    with _service(top / "long-run", layer, protocol) as (process, _, port):
        source = Source(_job(port, top / "long", check="join"))
        warm_up = run_job(source.job(min(count, 20_000)))
        job = source.job(count, is_long=True)
        with watched(process.pid, max(_WATCH_S, count / 1e6)) as memory:
            seen = run_job(job)
        found = faults_of("warm-up", warm_up) + faults_of("long", seen)
        found += account_faults(final_account(process.url))
    return {
        "messages": seen["sent"],
        "rate": seen["rate"],
        "start_rss_mb": memory[0].rss,
        "max_rss_mb": max(sample.rss for sample in memory),
        "end_rss_mb": memory[-1].rss,
        "slope_mb_per_million": _slope(memory, seen),
        "memory": [asdict(sample) for sample in memory],
        "faults": found,
    }


def _slope(memory: Sequence[Memory], seen: dict[str, Any]) -> float:
    """Growth of the service's RSS over the second half, by least squares; the rate is steady."""
    late = [sample for sample in memory if sample.at_s >= memory[-1].at_s / 2]
    if len(late) < 3:
        return float("nan")
    messages = [sample.at_s * seen["rate"] / 1e6 for sample in late]
    return float(np.polyfit(messages, [sample.rss for sample in late], 1)[0])


@contextmanager
def _service(folder: Path, layer: Path, protocol: str) -> Iterator[tuple[Started, int | None, int]]:
    folder.mkdir()
    with mosquitto(folder) as broker:
        config = configuration(broker.port, protocol, layer)
        with started_geoweir(folder, config) as process:
            yield process, broker.pid, broker.port


def _job(port: int, workload: Path, **more: Any) -> Job:  # noqa: ANN401 - fields of a Job
    return Job(port=port, folder=str(workload), first=0, count=0, **more)


def _short_table(runs: Sequence[dict[str, Any]]) -> str:
    least = min(run["devices"] for run in runs)
    base = {run["round"]: run["saturated"]["rate"] for run in runs if run["devices"] == least}
    rows = []
    for some in sorted({run["devices"] for run in runs}):
        these = [run for run in runs if run["devices"] == some]
        rates = [run["saturated"]["rate"] for run in these]
        rows.append(
            [
                f"{some}",
                spread(rates, "{:.0f}"),
                spread([r["saturated"]["rate"] / base[r["round"]] for r in these], "{:.2f}"),
                spread([run["cpu_us"]["parent"] for run in these], "{:.1f}"),
                spread([run["cpu_us"]["workers"] for run in these], "{:.1f}"),
                spread([run["peak_rss_mb"] for run in these], "{:.0f}"),
                f"{sum(len(run['faults']) for run in these)}",
            ]
        )
    head = ["devices", "messages/s", f"by {least}", "service CPU µs", "workers", "peak RSS MB"]
    return markdown([*head, "faults"], rows)


def _long_table(result: dict[str, Any]) -> str:
    names = ("start_rss_mb", "max_rss_mb", "end_rss_mb", "slope_mb_per_million")
    cells = [f"{result['messages']}", f"{result['rate']:.0f}"]
    cells += [f"{result[name]:.2f}" for name in names]
    head = ["messages", "messages/s", "RSS MB: start", "most", "end", "MB per million, late"]
    return markdown([*head, "faults"], [[*cells, f"{len(result['faults'])}"]])


def _arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=(__doc__ or "").partition("\n")[0],
        epilog="Example: python bench/flat.py --rounds 5 --long 1000000",
    )
    parser.add_argument("--devices", default="1,100,10000", metavar="N,…", help="(1,100,10000)")
    parser.add_argument("--rounds", type=positive(int), default=3, metavar="N")
    parser.add_argument("--seconds", type=positive(float), default=5.0, metavar="S", help="(5)")
    parser.add_argument(
        "--long", type=positive(int), metavar="N", help="so many messages more, for the memory"
    )
    parser.add_argument("--protocol", choices=("5", "3.1.1"), default="5")
    add_json(parser, "flat")
    args = parser.parse_args(argv)
    parts = [part for part in args.devices.split(",") if part]
    if not all(part.isdecimal() and 0 < int(part) <= 20_000 for part in parts):
        parser.error("--devices takes numbers from 1 to 20000, with commas between")
    args.devices = sorted({int(part) for part in parts})
    return args


def main(argv: Sequence[str] | None = None) -> int:
    """Prints the tables; 1 where something was at fault."""
    args = _arguments(argv)
    report = header(protocol=args.protocol, runs=[], long=None)
    with folder_of_run() as top:
        report["runs"] = list(short(top, args.devices, args)) if args.devices else []
        if args.long:
            report["long"] = long(top, args.long, args.protocol)
    keep(report, args.json)
    if report["runs"]:
        print(_short_table(report["runs"]))
    if report["long"]:
        print("", _long_table(report["long"]), sep="\n")
    done = [*report["runs"], *([report["long"]] if report["long"] else [])]
    return 1 if any(one["faults"] for one in done) else 0


if __name__ == "__main__":
    sys.exit(main_of("flat", main))
