from __future__ import annotations

import pytest

from geoweir.core.spec import StepSpec
from geoweir.errors import ConfigurationError
from geoweir.steps.catalogue import STEPS, make_step
from geoweir.steps.drop import Drop
from geoweir.steps.keep import Keep
from support.features import context, features


def test_keep_leaves_the_named_properties_in_the_message_s_order() -> None:
    chunk = features([None], [{"c": 3, "b": 2, "a": 1}])
    Keep({"fields": ["a", "c", "z"]}, context()).run(chunk)
    assert list(chunk.properties[0].items()) == [("c", 3), ("a", 1)]


def test_drop_leaves_out_the_named_properties() -> None:
    chunk = features([None], [{"a": 1, "b": 2}])
    Drop({"fields": ["a", "z"]}, context()).run(chunk)
    assert chunk.properties == [{"b": 2}]


def test_an_unknown_step_is_named_with_those_that_there_are() -> None:
    with pytest.raises(ConfigurationError, match=r"no step is named 'jion'\. Steps: reproject"):
        make_step(StepSpec(name="jion"), context())


def test_the_catalogue_has_the_steps_of_the_contract() -> None:
    geometry = {"reproject", "validate", "join", "nearest", "sample", "zonal", "cloud"}
    assert set(STEPS) == geometry | {"where", "keep", "drop", "python"}
