"""Messages a second and latency of geoweir beside a plain pattern and an echo, in one run.

    python bench/end_to_end.py [--quick] [--json FILE]

Every candidate gets the same real positions through a mosquitto of its own, QoS 1 in and out, and
answers to an outside subscriber, which checks that each input has exactly one result and, where a
join is made, that it is the right one. The candidates take turns, round by round, because a shared
machine is never twice the same: compare within a round, claim only ratios. Linux only.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from candidates import CANDIDATES, Candidate, MissingError, Started, broker, started
from machine import describe

_HERE: Final = Path(__file__).resolve().parent
_WARM_UP: Final = 1000
_CALM_SHARE: Final = 0.1
_CALM_S: Final = 5.0
_CALM_LEAST: Final = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """How much is measured."""

    messages: int
    rounds: int
    outstanding: int

    @property
    def calm(self) -> int:
        """Messages at a tenth of capacity, at most."""
        return max(_CALM_LEAST, self.messages // 4)

    @property
    def total(self) -> int:
        return _WARM_UP + self.messages + self.calm


class Run:
    """One candidate in one round."""

    def __init__(self, candidate: Candidate, plan: Plan, workload: Path) -> None:
        self._candidate = candidate
        self._plan = plan
        self._workload = workload
        self._next = 0

    def measure(self, folder: Path, layer: Path) -> dict[str, Any]:
        """What it did at saturation and at a tenth of that, and what it cost."""
        result: dict[str, Any] = {
            "candidate": self._candidate.name,
            "load_before": os.getloadavg()[0],
        }
        with broker(folder) as (port, broker_pid):
            if self._candidate.kind == "ceiling":
                return result | {"saturated": self._phase(port, self._plan.messages, None)}
            with started(self._candidate, folder, layer, port) as process:
                return result | self._phases(port, broker_pid, process)

    def _phases(self, port: int, broker_pid: int, process: Started) -> dict[str, Any]:
        from observed import LoopLag, final_account  # noqa: PLC0415
        from processes import cpu_s, peak_rss_mb, pss_mb  # noqa: PLC0415

        url = process.line.split()[-1] if self._candidate.kind == "geoweir" else None
        self._phase(port, _WARM_UP, None)
        lag = [LoopLag.read(url)] if url else []
        own_s, broker_s = cpu_s(process.pid), cpu_s(broker_pid)
        saturated = self._phase(port, self._plan.messages, None)
        own_s, broker_s = cpu_s(process.pid) - own_s, cpu_s(broker_pid) - broker_s
        result = {
            "saturated": saturated,
            "cpu_us": own_s / self._plan.messages * 1e6,
            "broker_cpu_us": broker_s / self._plan.messages * 1e6,
            "peak_rss_mb": peak_rss_mb(process.pid),
            "pss_mb": pss_mb(process.pid),
        }
        lag += [LoopLag.read(url)] if url else []
        rate = max(1.0, saturated["rate"] * _CALM_SHARE)
        count = min(self._plan.calm, max(_CALM_LEAST, int(rate * _CALM_S)))
        result["calm"] = self._phase(port, count, rate)
        if url:
            lag.append(LoopLag.read(url))
            result["lag_p99_ms"] = lag[1].p99_ms(lag[0])
            result["calm_lag_p99_ms"] = lag[2].p99_ms(lag[1])
            result["account"] = final_account(url)
        return result | {"exit": process.end()}

    def _phase(self, port: int, count: int, rate: float | None) -> dict[str, Any]:
        job = {
            "port": port,
            "folder": str(self._workload),
            "first": self._next,
            "count": count,
            "outstanding": self._plan.outstanding,
            "rate": rate,
            "is_direct": self._candidate.kind == "ceiling",
            "is_joined": self._candidate.kind in {"geoweir", "plain"},
        }
        self._next += count
        told = subprocess.run(
            [sys.executable, str(_HERE / "outside.py"), json.dumps(job)],
            stdout=subprocess.PIPE,
            check=True,
        )
        seen: dict[str, Any] = json.loads(told.stdout)
        return seen


def faults(result: dict[str, Any]) -> list[str]:
    """What was not as it has to be: results lost, repeated, wrong; an account out of balance."""
    found = []
    for phase in ("saturated", "calm"):
        seen = result.get(phase, {})
        found += [
            f"{phase}: {seen[name]} {name}"
            for name in ("missing", "repeated", "foreign", "wrong", "same_key")
            if seen.get(name)
        ]
    account = result.get("account")
    if account and (
        account["unaccounted"] or any(s["in_flight"] for s in account["streams"].values())
    ):
        found.append(f"the account does not balance: {json.dumps(account)}")
    if result["candidate"].startswith("geoweir") and result.get("exit") != 0:
        found.append(f"exit status {result.get('exit')}")
    return found


def measure(plan: Plan, chosen: Sequence[Candidate]) -> dict[str, Any]:
    """The whole run as a report."""
    from workload import prepare  # noqa: PLC0415 - it needs shapely, whose lack has its own line

    report: dict[str, Any] = {**describe(), "plan": asdict(plan)}
    with tempfile.TemporaryDirectory(prefix="geoweir-bench-") as top:
        workload = prepare(Path(top), plan.total)
        report["workload"] = {**asdict(workload), "layer": workload.layer.name}
        report["runs"] = []
        for number in range(plan.rounds):
            start = number % len(chosen)
            for candidate in [*chosen[start:], *chosen[:start]]:
                folder = Path(top) / f"{number}-{candidate.name}"
                folder.mkdir()
                run = Run(candidate, plan, Path(top))
                result = {"round": number, **run.measure(folder, workload.layer)}
                report["runs"].append(result | {"faults": faults(result)})
                _say(result, number, plan)
    return report


def _say(result: dict[str, Any], number: int, plan: Plan) -> None:
    rate = result["saturated"]["rate"]
    line = f"round {number + 1}/{plan.rounds} {result['candidate']:18} {rate:8.0f} messages/s"
    print(line, *faults(result), sep="  ", file=sys.stderr, flush=True)


def _arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=(__doc__ or "").partition("\n")[0],
        epilog="Example: python bench/end_to_end.py --rounds 3 --candidates geoweir-5,plain,echo",
    )
    parser.add_argument(
        "--messages", type=int, default=20_000, metavar="N", help="per candidate and round"
    )
    parser.add_argument("--rounds", type=int, default=5, metavar="N")
    parser.add_argument(
        "--outstanding",
        type=int,
        default=2000,
        metavar="N",
        help="published and not seen again, at most, at saturation (2000)",
    )
    parser.add_argument(
        "--quick", action="store_true", help="one round of 3000: does it work at all"
    )
    parser.add_argument(
        "--candidates",
        default="",
        metavar="NAME,…",
        help="names or their beginnings: " + ", ".join(c.name for c in CANDIDATES),
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="the whole report")
    args = parser.parse_args(argv)
    if min(args.messages, args.rounds, args.outstanding) < 1:
        parser.error("--messages, --rounds and --outstanding have to be at least 1")
    return args


def _choose(names: str) -> list[Candidate]:
    beginnings = [name for name in names.split(",") if name] or [""]
    chosen = [c for c in CANDIDATES if c.name.startswith(tuple(beginnings))]
    if not chosen:
        raise MissingError(f"no candidate is named {names}; see --help")
    return chosen


def main(argv: Sequence[str] | None = None) -> int:
    """Prints the table; 1 where a candidate of ours was at fault, or something is missing."""
    args = _arguments(argv)
    plan = Plan(
        messages=3000 if args.quick else args.messages,
        rounds=1 if args.quick else args.rounds,
        outstanding=args.outstanding,
    )
    try:
        report = measure(plan, _choose(args.candidates))
    except MissingError as error:
        print(f"end_to_end: {error}", file=sys.stderr)
        return 1
    from table import ratios, table  # noqa: PLC0415

    if args.json:
        args.json.parent.mkdir(parents=True, exist_ok=True)
        args.json.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
    print(table(report), "", *ratios(report), sep="\n")
    ours = [run for run in report["runs"] if run["candidate"].startswith("geoweir")]
    return 1 if any(run["faults"] for run in ours) else 0


if __name__ == "__main__":
    sys.exit(main())
