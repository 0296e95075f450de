"""A flood against a slow step: the memory of the service stays flat, and nothing is lost.

    python bench/flood.py [--messages 1000000] [--sleep-ms 10]

A publisher that cares only for the broker's acknowledgements sends all at once; a user's step
sleeps with every chunk. What waits has to wait in the broker, and every input has to come out.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from brokers import mosquitto
from candidates import started_geoweir
from configurations import configuration
from observed import account_faults, final_account
from outside import Job
from phases import Source, faults_of, run_job
from processes import peak_rss_mb, rss_mb, watched
from reports import add_json, folder_of_run, header, keep, main_of, positive
from table import markdown
from workload import prepare


def flooded(args: argparse.Namespace) -> dict[str, Any]:
    """The flood, and what the service held meanwhile."""
    os.environ["BENCH_SLEEP_MS"] = str(args.sleep_ms)
    with folder_of_run() as top:
        layer = prepare(top / "workload").layer
        # The broker's queue is not to be written to disk again and again: it is what is large.
        with mosquitto(top, autosave_s=0) as broker:
            config = configuration(broker.port, args.protocol, layer)
            config["streams"]["positions"]["steps"].append({"python": "user_steps:slow"})
            with started_geoweir(top, config) as process:
                source = Source(
                    Job(
                        port=broker.port,
                        folder=str(top / "workload"),
                        first=0,
                        count=0,
                        check="join",
                        stalled_s=60,
                    )
                )
                warm_up = run_job(source.job(2000))
                job = source.job(args.messages, until="acknowledged", is_long=True)
                with watched(process.pid) as memory:
                    seen = run_job(job)
                account = final_account(process.url)
                found = faults_of("warm-up", warm_up) + faults_of("flood", seen)
                return {
                    "seen": seen,
                    "account": account,
                    "broker_rss_mb": rss_mb(broker.pid or 0),
                    "start_rss_mb": memory[0].rss,
                    "max_rss_mb": max(sample.rss for sample in memory),
                    "peak_rss_mb": peak_rss_mb(process.pid),
                    "end_rss_mb": memory[-1].rss,
                    "max_workers_pss_mb": max(sample.below_pss for sample in memory),
                    "memory": [asdict(sample) for sample in memory],
                    "faults": found + account_faults(account),
                }


def _table(result: dict[str, Any]) -> str:
    seen = result["seen"]
    cells = [f"{seen['sent']}", f"{seen['published_s']:.1f}", f"{seen['rate']:.0f}"]
    names = ("start_rss_mb", "max_rss_mb", "end_rss_mb", "max_workers_pss_mb")
    cells += [f"{result[name]:.1f}" for name in names]
    head = ["messages", "published in s", "results/s", "service RSS MB: start", "most", "end"]
    return markdown(
        [*head, "workers PSS MB: most", "missing", "faults"],
        [[*cells, f"{seen['missing']}", f"{len(result['faults'])}"]],
    )


def _arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=(__doc__ or "").partition("\n")[0],
        epilog="Example: python bench/flood.py --messages 50000",
    )
    parser.add_argument("--messages", type=positive(int), default=1_000_000, metavar="N")
    parser.add_argument(
        "--sleep-ms", type=positive(float), default=10.0, metavar="MS", help="with a chunk (10)"
    )
    parser.add_argument("--protocol", choices=("5", "3.1.1"), default="5")
    add_json(parser, "flood")
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> int:
    """Prints the table; 1 where something was at fault."""
    args = _arguments(argv)
    report = header(sleep_ms=args.sleep_ms, protocol=args.protocol)
    report |= flooded(args)
    keep(report, args.json)
    print(*report["faults"], sep="\n", file=sys.stderr)
    print(_table(report))
    return 1 if report["faults"] else 0


if __name__ == "__main__":
    sys.exit(main_of("flood", main))
