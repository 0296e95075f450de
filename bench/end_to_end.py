"""Messages a second, latency and cost of geoweir beside others, in one run: the reference.

    python bench/end_to_end.py [--quick] [--json FILE]

Every candidate gets the same real positions through a mosquitto of its own, QoS 1 in and out, and
answers to an outside subscriber, which checks that each input has exactly one result and, where a
join is made, that it is the right one. The candidates take turns, round by round, because a shared
machine is never twice the same: compare within a round, claim only ratios. Linux only.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from brokers import Broker, mosquitto
from candidates import CANDIDATES, Candidate, Started, started
from errors import MissingError
from observed import LoopLag, account_faults, final_account
from outside import Job
from peers import node_red
from phases import LEAST, Costs, Source, faults_of, run_job
from processes import cpu_s, peak_rss_mb, watched
from reports import add_json, folder_of_run, header, keep, main_of, positive
from topics import IN, OUT

_SETTLE_S: Final = 1.0  # whatever belongs to a candidate's start


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """How much is measured.

    Attributes:
        seconds: at saturation.
        loads: shares of its own capacity at which a candidate's latency is measured.
        load_s: how long at each, once through the candidate and once through the broker alone.
        idle_s: how long its CPU without any message is measured.
        outstanding: messages under way at saturation, for all alike.
    """

    rounds: int
    seconds: float
    loads: tuple[float, ...]
    load_s: float
    idle_s: float
    outstanding: int


class Run:
    """One candidate in one round."""

    def __init__(self, candidate: Candidate, plan: Plan, workload: Path, layer: Path) -> None:
        self._candidate = candidate
        self._plan = plan
        self._workload = workload
        self._layer = layer

    def measure(self, folder: Path) -> dict[str, Any]:
        """What it did at saturation and below, and what it cost."""
        candidate = self._candidate
        result: dict[str, Any] = {"candidate": candidate.name, "load_before": os.getloadavg()[0]}
        with ExitStack() as running:
            broker = running.enter_context(mosquitto(folder))
            source = self._source(broker.port)
            if candidate.kind == "ceiling":
                return result | self._ceiling(broker, source)
            command = candidate.command(folder, self._workload, self._layer, broker.port)
            process = running.enter_context(started(candidate.name, command, folder))
            result |= self._idle(process.pid) | self._saturated(broker, source, process)
            result["loads"] = [self._loaded(source, result, share) for share in self._plan.loads]
            if candidate.kind == "geoweir":
                result["account"] = final_account(process.url)
            return result | {"exit": process.end()}

    def _idle(self, pid: int) -> dict[str, Any]:
        time.sleep(_SETTLE_S)
        before = cpu_s(pid, alone=True)
        time.sleep(self._plan.idle_s)
        spent_s = cpu_s(pid, alone=True) - before
        return {"idle_cpu_percent": spent_s / self._plan.idle_s * 100}

    def _ceiling(self, broker: Broker, source: Source) -> dict[str, Any]:
        warm_up, job = source.warmed_up(self._plan.seconds)
        costs = Costs(None, broker.pid)
        seen = run_job(job)
        return {
            "warm_up": warm_up,
            "saturated": seen,
            "cpu_us": costs.since(seen),
            "others_percent": costs.others_percent(),
        }

    def _saturated(self, broker: Broker, source: Source, process: Started) -> dict[str, Any]:
        warm_up, job = source.warmed_up(self._plan.seconds)
        url = process.url if self._candidate.kind == "geoweir" else None
        lag = LoopLag.read(url) if url else None
        costs = Costs(process.pid, broker.pid)
        with watched(process.pid) as memory:
            seen = run_job(job)
            cpu_us, others_percent = costs.since(seen), costs.others_percent()
        result = {
            "warm_up": warm_up,
            "saturated": seen,
            "cpu_us": cpu_us,
            "others_percent": others_percent,
            "peak_rss_mb": peak_rss_mb(process.pid),
            "pss_mb": max(sample.pss for sample in memory),
            "workers_pss_mb": max(sample.below_pss for sample in memory),
        }
        if url and lag:
            result["lag_p99_ms"] = LoopLag.read(url).p99_ms(lag)
        return result

    def _loaded(self, source: Source, result: dict[str, Any], share: float) -> dict[str, Any]:
        """Latency through the candidate, and through the broker alone at the same rate."""
        rate = max(1.0, result["saturated"]["rate"] * share)
        count = max(LEAST, int(rate * self._plan.load_s))
        through = run_job(source.job(count, rate=rate))
        # The candidate is not subscribed to these topics: it stands still meanwhile.
        alone = run_job(source.job(count, rate=rate, inlet=OUT, check="none"))
        return {"share": share, "through": through, "alone": alone, "net": _net(through, alone)}

    def _source(self, port: int) -> Source:
        return Source(
            Job(
                port=port,
                folder=str(self._workload),
                first=0,
                count=0,
                outstanding=self._plan.outstanding,
                inlet=OUT if self._candidate.kind == "ceiling" else IN,
                check=self._candidate.check,
            )
        )


def _net(through: dict[str, Any], alone: dict[str, Any]) -> dict[str, float]:
    return {name: through[name] - alone[name] for name in ("p50_ms", "p99_ms")}


def faults(result: dict[str, Any]) -> list[str]:
    """What was not as it has to be: results lost, repeated, wrong; an account out of balance."""
    found = faults_of("warm-up", result["warm_up"]) + faults_of("saturated", result["saturated"])
    for load in result.get("loads", ()):
        for way in ("through", "alone"):
            found += faults_of(f"{way} at {load['share']:.0%}", load[way])
    found += account_faults(result.get("account"))
    if result["candidate"].startswith("geoweir") and result.get("exit") != 0:
        found.append(f"exit status {result.get('exit')}")
    return found


def measure(plan: Plan, chosen: Sequence[Candidate]) -> dict[str, Any]:
    """The whole run as a report."""
    report: dict[str, Any] = header(plan=asdict(plan), runs=[], skipped={})
    with folder_of_run() as top:
        from workload import prepare  # noqa: PLC0415 - needs shapely, whose lack has its own line

        workload = prepare(top / "workload")
        report["workload"] = {**asdict(workload), "layer": workload.layer.name}
        for number in range(plan.rounds):
            start = number % len(chosen)
            for candidate in [*chosen[start:], *chosen[:start]]:
                if candidate.name in report["skipped"]:
                    continue
                folder = top / f"{number}-{candidate.name}"
                folder.mkdir()
                try:
                    result = Run(candidate, plan, top / "workload", workload.layer).measure(folder)
                except MissingError as error:
                    _skip(candidate, error, report)
                    continue
                report["runs"].append({"round": number, **result, "faults": faults(result)})
                _say(report["runs"][-1], plan)
    report["versions"]["node-red"] = node_red.version()
    return report


def _skip(candidate: Candidate, error: MissingError, report: dict[str, Any]) -> None:
    """A peer may be missing; one of our own may not."""
    if candidate.kind != "node-red":
        raise error
    report["skipped"][candidate.name] = str(error)
    print(f"skipped: {candidate.name}: {error}", file=sys.stderr, flush=True)


def _say(result: dict[str, Any], plan: Plan) -> None:
    rate = result["saturated"]["rate"]
    done = f"round {result['round'] + 1}/{plan.rounds}"
    print(
        f"{done} {result['candidate']:18} {rate:8.0f} messages/s",
        *result["faults"],
        sep="  ",
        file=sys.stderr,
        flush=True,
    )


def _arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=(__doc__ or "").partition("\n")[0],
        epilog="Example: python bench/end_to_end.py --rounds 5 --candidates geoweir-5,raw,ceiling",
    )
    parser.add_argument("--rounds", type=positive(int), default=3, metavar="N")
    parser.add_argument(
        "--seconds", type=positive(float), default=5.0, metavar="S", help="at saturation (5)"
    )
    parser.add_argument(
        "--load-seconds", type=positive(float), default=3.0, metavar="S", help="at each load (3)"
    )
    parser.add_argument(
        "--outstanding",
        type=positive(int),
        default=2000,
        metavar="N",
        help="published and not seen again, at most, at saturation (2000)",
    )
    parser.add_argument("--quick", action="store_true", help="one short round: does it work at all")
    parser.add_argument(
        "--candidates",
        default="",
        metavar="NAME,…",
        help="names or their beginnings: " + ", ".join(c.name for c in CANDIDATES),
    )
    add_json(parser, "end_to_end")
    return parser.parse_args(argv)


def _choose(names: str) -> list[Candidate]:
    beginnings = tuple(name for name in names.split(",") if name)
    if not beginnings:
        return [c for c in CANDIDATES if c.is_reference]
    chosen = [c for c in CANDIDATES if c.name.startswith(beginnings)]
    if not chosen:
        raise MissingError(f"no candidate is named {names}; see --help")
    return chosen


def main(argv: Sequence[str] | None = None) -> int:
    """Prints the table; 1 where a candidate of ours was at fault, or something is missing."""
    args = _arguments(argv)
    plan = Plan(
        rounds=1 if args.quick else args.rounds,
        seconds=1.0 if args.quick else args.seconds,
        loads=(0.1, 0.5),
        load_s=1.0 if args.quick else args.load_seconds,
        idle_s=1.0 if args.quick else 3.0,
        outstanding=args.outstanding,
    )
    report = measure(plan, _choose(args.candidates))
    from table import claims, headroom, table  # noqa: PLC0415

    keep(report, args.json)
    print(table(report), "", headroom(report), "", claims(report), sep="\n")
    ours = [one for one in report["runs"] if one["candidate"].startswith("geoweir")]
    return 1 if any(one["faults"] for one in ours) else 0


if __name__ == "__main__":
    sys.exit(main_of("end_to_end", main))
