from dataclasses import replace

import pytest

from geoweir.core.spec import PrefilterSpec, StepSpec, StreamSpec, keeps_state


def stream(*steps: str, **prefilter: float) -> StreamSpec:
    return StreamSpec(
        name="s",
        subscribe=("in/#",),
        prefilter=PrefilterSpec(**prefilter),  # type: ignore[arg-type]
        steps=tuple(StepSpec(name=name) for name in steps),
    )


def test_geometry_and_filters_of_single_inputs_keep_nothing() -> None:
    assert not keeps_state(stream("reproject", "validate", "join", "where", "keep", "python"))
    assert not keeps_state(stream(max_age_s=60.0))


def test_an_interval_between_fixes_is_state() -> None:
    assert keeps_state(stream(min_interval_s=1.0))


def test_what_is_told_apart_from_earlier_inputs_is_state() -> None:
    assert keeps_state(replace(stream(), dedupe_s=60.0))


@pytest.mark.parametrize("step", ["fence", "proximity", "threshold", "track", "window"])
def test_what_remembers_a_device_is_state(step: str) -> None:
    assert keeps_state(stream("validate", step))
