from __future__ import annotations

from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from geoweir.spatial.compiling.spool import Spool

PIECES = st.lists(st.tuples(st.sampled_from("abc"), st.binary(max_size=30)), max_size=30)


@given(pieces=PIECES, budget=st.integers(0, 200))
def test_what_goes_in_comes_out_in_order_whatever_the_budget(
    pieces: list[tuple[str, bytes]], budget: int
) -> None:
    with Spool(Path("/tmp"), budget) as spool:
        for key, data in pieces:
            spool.append(key, data)
        for key in "abc":
            wanted = b"".join(data for other, data in pieces if other == key)
            assert b"".join(spool.pieces(key)) == wanted
            assert spool.size(key) == len(wanted)


@given(records=st.lists(st.binary(max_size=30), max_size=20), budget=st.integers(0, 200))
def test_records_keep_their_limits(records: list[bytes], budget: int) -> None:
    with Spool(Path("/tmp"), budget) as spool:
        for record in records:
            spool.append_record("r", record)
        assert list(spool.records("r")) == records


def test_beyond_the_budget_it_goes_to_a_file_without_a_name(tmp_path: Path) -> None:
    with Spool(tmp_path, 1000) as spool:
        spool.append("a", bytes(1000))
        assert spool.spilled == 0
        spool.append("a", b"x")
        assert spool.spilled == 1001
        assert list(tmp_path.iterdir()) == []
