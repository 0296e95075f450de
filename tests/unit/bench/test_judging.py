"""The bench's judge: it finds whatever is not as it has to be."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from judging import Judge
from packets import FIRST
from wire import publish_packet


@pytest.fixture
def judge(tmp_path: Path) -> Judge:
    (tmp_path / "expected.json").write_text('[["A"], [null], ["B", "C"]]', encoding="utf-8")
    return Judge(tmp_path, first=30, count=6, check="join", outlet="out/", has_keys=True)


def result(number: int, name: str | None, key: str | None = None) -> bytes:
    feature: dict[str, Any] = {
        "properties": {"seq": FIRST + number, "areas_name": name},
        "geoweir": {"key": key or f"k{number}"},
    }
    return publish_packet("out/d", json.dumps(feature).encode())[0]


def test_right_results_are_no_faults_and_keep_their_times(judge: Judge) -> None:
    judge.take(result(30, "A") + result(31, None), 1.5)
    judge.take(result(32, "C"), 2.5)
    assert (judge.results, judge.repeated, judge.foreign) == (3, 0, 0)
    assert (judge.wrong, judge.same_key, judge.reconciled) == (0, 0, 0)
    assert judge.times[:3].tolist() == [1.5, 1.5, 2.5]
    assert np.isnan(judge.times[3:]).all()


def test_each_fault_is_found(judge: Judge) -> None:
    judge.take(result(30, "A") + result(30, "A"), 1)
    assert judge.repeated == 1
    judge.take(result(31, "A"), 1)
    assert judge.wrong == 1
    judge.take(result(32, "B", key="k31"), 1)
    assert judge.same_key == 1
    judge.take(result(29, "A") + result(36, "A"), 1)
    assert judge.foreign == 2
    judge.take(publish_packet("geoweir/rejected/positions", b'{"reason": "time"}')[0], 1)
    assert judge.foreign == 3


def test_reconciled_inputs_are_counted_once_by_their_numbers(judge: Judge) -> None:
    ids = [str(FIRST + 30), str(FIRST + 35), "a device"]
    told = publish_packet("geoweir/reconcile/positions", json.dumps({"ids": ids}).encode())[0]
    judge.take(told, 1)
    assert (judge.reconciled, judge.foreign) == (2, 1)
    judge.take(told, 1)
    assert (judge.reconciled, judge.foreign) == (2, 4)


def test_a_fence_knows_one_name(tmp_path: Path) -> None:
    (tmp_path / "expected.json").write_text('[["A", "B"], ["B"]]', encoding="utf-8")
    (tmp_path / "fence.json").write_text('{"name": "A", "points": []}', encoding="utf-8")
    judge = Judge(tmp_path, first=0, count=4, check="fence", outlet="out/", has_keys=False)
    judge.take(result(0, "A") + result(1, None), 1)
    assert judge.wrong == 0
    judge.take(result(2, None) + result(3, "B"), 1)
    assert judge.wrong == 2
