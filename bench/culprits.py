"""What one feature in ten thousand that hangs its worker costs the others.

    python bench/culprits.py [--brokers mosquitto,iotcore] [--every 10000]

A stream runs at half of its capacity through a user's step that sleeps for ever on a marked
feature; another stream runs beside it. Both are measured with marks and without, by turns, on the
same service: what the first carries, and what the other waits. Every culprit has to be reconciled,
by its own id, and every other input published.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from brokers import BROKERS, Broker
from candidates import started_geoweir
from configurations import configuration, stream
from errors import MissingError
from observed import account_faults, final_account
from outside import Job
from phases import LEAST, Source, faults_of, run_job, run_jobs
from reports import add_json, folder_of_run, header, keep, main_of, positive
from table import markdown, spread
from topics import BESIDE_IN, BESIDE_OUT, OUT
from workload import prepare

_BESIDE_FIRST: Final = 1_000_000_000  # its messages have numbers of their own
_BESIDE: Final[dict[str, Any]] = {
    "inlet": BESIDE_IN,
    "outlet": BESIDE_OUT,
    "stream": "beside",
}


def measured(
    folder: Path, broker: Broker, workload: Path, layer: Path, number: int, args: argparse.Namespace
) -> dict[str, Any]:
    """One round on one broker."""
    base = Job(port=broker.port, folder=str(workload), first=0, count=0, check="join")
    strained = Source(base)
    beside = Source(replace(base, first=_BESIDE_FIRST, **_BESIDE))
    with started_geoweir(folder, _configuration(broker, layer)) as process:
        warm_up, job = strained.warmed_up(args.seconds)
        capacity = run_job(job)
        result: dict[str, Any] = {"round": number, "broker": broker.name, "capacity": capacity}
        found = faults_of("warm-up", warm_up) + faults_of("capacity", capacity)
        for name in ("without", "with") if number % 2 == 0 else ("with", "without"):
            every = args.every if name == "with" else 0
            result[name] = _both(strained, beside, capacity["rate"] / 2, every, args)
            found += _faults(name, result[name])
        found += account_faults(final_account(process.url))
    return result | {"faults": found}


def _both(
    strained: Source, beside: Source, rate: float, every: int, args: argparse.Namespace
) -> dict[str, Any]:
    """Both streams for a while, with marks in the one or without."""
    count, count_beside = (max(LEAST, int(r * args.seconds)) for r in (rate, args.beside))
    job = strained.job(count, rate=rate, mark_every=every)
    main_seen, beside_seen = run_jobs([job, beside.job(count_beside, rate=args.beside)])
    return {"main": main_seen, "beside": beside_seen, "marked": _marked(job, every)}


def _faults(name: str, seen: dict[str, Any]) -> list[str]:
    found = faults_of(f"main {name}", seen["main"]) + faults_of(f"beside {name}", seen["beside"])
    reconciled = seen["main"]["reconciled"]
    if reconciled != seen["marked"]:
        found.append(f"{name}: {reconciled} reconciled, but {seen['marked']} marked")
    return found


def _marked(job: Job, every: int) -> int:
    return (job.first + job.count) // every - job.first // every if every else 0


def _configuration(broker: Broker, layer: Path) -> dict[str, Any]:
    """Ids are the messages' numbers, so that a reconciliation says which one it was."""
    config = configuration(broker.port, broker.protocol, layer)
    main_stream = stream("bench/in/", f"{OUT}positions")
    main_stream["fields"]["id"] = "properties.seq"
    main_stream["steps"].append({"python": "user_steps:hang_where_marked"})
    beside = stream(BESIDE_IN, f"{BESIDE_OUT}{{id}}")
    config["streams"] = {"positions": main_stream, "beside": beside}
    return config


def _table(runs: Sequence[dict[str, Any]]) -> str:
    rows = []
    for broker in dict.fromkeys(run["broker"] for run in runs):
        these = [run for run in runs if run["broker"] == broker]
        ratios = [r["with"]["main"]["rate"] / r["without"]["main"]["rate"] for r in these]
        reconciled = sum(run["with"]["main"]["reconciled"] for run in these)
        rows.append(
            [
                broker,
                spread([run["capacity"]["rate"] for run in these], "{:.0f}"),
                spread([run["without"]["main"]["rate"] for run in these], "{:.0f}"),
                spread([run["with"]["main"]["rate"] for run in these], "{:.0f}"),
                spread(ratios, "{:.3f}"),
                f"{reconciled} of {sum(run['with']['marked'] for run in these)}",
                spread([run["without"]["beside"]["p99_ms"] for run in these], "{:.1f}"),
                spread([run["with"]["beside"]["p99_ms"] for run in these], "{:.1f}"),
                f"{sum(len(run['faults']) for run in these)}",
            ]
        )
    head = ["broker", "capacity", "at half: without", "with culprits", "ratio", "reconciled"]
    return markdown([*head, "beside p99 ms: without", "with", "faults"], rows)


def _arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=(__doc__ or "").partition("\n")[0],
        epilog="Example: python bench/culprits.py --rounds 1 --seconds 10 --brokers mosquitto",
    )
    parser.add_argument("--brokers", default=",".join(BROKERS), metavar="NAME,…")
    parser.add_argument("--rounds", type=positive(int), default=3, metavar="N")
    parser.add_argument("--seconds", type=positive(float), default=20.0, metavar="S", help="(20)")
    parser.add_argument(
        "--every", type=positive(int), default=10_000, metavar="N", help="one culprit in N (10000)"
    )
    parser.add_argument(
        "--beside", type=positive(float), default=200.0, metavar="R", help="messages/s (200)"
    )
    add_json(parser, "culprits")
    args = parser.parse_args(argv)
    args.brokers = [name for name in args.brokers.split(",") if name]
    if not args.brokers or not set(args.brokers) <= set(BROKERS):
        parser.error(f"--brokers takes some of {', '.join(BROKERS)}, with commas between")
    return args


def main(argv: Sequence[str] | None = None) -> int:
    """Prints the table; 1 where something was at fault."""
    args = _arguments(argv)
    report = header(every=args.every, beside=args.beside, runs=[], skipped={})
    with folder_of_run() as top:
        layer = prepare(top / "workload").layer
        for number in range(args.rounds):
            for name in args.brokers:
                folder = top / f"{number}-{name}"
                folder.mkdir()
                try:
                    with BROKERS[name](folder) as broker:
                        result = measured(folder, broker, top / "workload", layer, number, args)
                except MissingError as error:
                    report["skipped"][name] = str(error)
                    print(f"skipped: {name}: {error}", file=sys.stderr)
                    continue
                report["runs"].append(result)
                print(
                    f"round {number + 1}/{args.rounds} {name}",
                    *result["faults"],
                    sep="  ",
                    file=sys.stderr,
                    flush=True,
                )
    keep(report, args.json)
    if report["runs"]:
        print(_table(report["runs"]))
    return 1 if any(one["faults"] for one in report["runs"]) else 0


if __name__ == "__main__":
    sys.exit(main_of("culprits", main))
