"""What the bench's tables claim."""

from __future__ import annotations

from typing import Any

import pytest

from table import claims, headroom, markdown, table


def run(name: str, rate: float, round_: int = 0, **more: Any) -> dict[str, Any]:
    return {
        "candidate": name,
        "round": round_,
        "saturated": {"rate": rate, "cpu_s": 0.5, "elapsed_s": 5.0},
        "cpu_us": {"parent": 10.0, "workers": 5.0, "broker": 9.0, "outside": 1.0},
        "others_percent": 3.0,
        "faults": [],
        **more,
    }


@pytest.mark.parametrize(("rate", "reached"), [(700, "yes"), (690, "no")])
def test_a_ratio_is_taken_within_each_round_and_compared_with_what_was_asked(
    rate: float, reached: str
) -> None:
    runs = [run("geoweir-5-2w", rate * n, n) for n in (1, 2, 3)]
    runs += [run("raw-echo-5", 1000 * n, n) for n in (3, 2, 1)]
    (line,) = [line for line in claims({"runs": runs}).splitlines() if "raw-echo" in line]
    cells = [cell.strip() for cell in line.strip("|").split("|")]
    share = f"{rate / 1000:.2f}"
    assert cells[1:4] == [f"{share} ({share}-{share})", "0.7", reached]


def test_a_round_without_the_other_one_counts_for_nothing() -> None:
    runs = [run("geoweir-5-2w", 500, 1), run("raw-echo-5", 1000, 2)]
    assert "raw-echo" not in claims({"runs": runs})


def test_a_ceiling_that_is_near_is_said() -> None:
    near = {"runs": [run("ceiling", 1100), run("raw-echo-5", 1000)]}
    assert "1.1 times the fastest candidate (raw-echo-5) - TOO LITTLE" in headroom(near)
    far = {"runs": [run("ceiling", 3000), run("raw-echo-5", 1000)]}
    assert "TOO LITTLE" not in headroom(far)
    assert "10% of a core" in headroom(far)
    assert "up to 3% of the machine" in headroom(far)


def test_what_was_not_measured_is_a_dash_and_faults_are_counted() -> None:
    whole = table({"runs": [run("ceiling", 10), run("geoweir-5-2w", 5) | {"faults": ["a", "b"]}]})
    assert whole.splitlines()[2].count(" - ") > 5
    assert "2 faults" in whole.splitlines()[3]


def test_columns_are_as_wide_as_their_widest_cell() -> None:
    lines = markdown(["a", "b"], [["long", "1"], ["x", "22"]]).splitlines()
    assert len({len(line) for line in lines}) == 1
