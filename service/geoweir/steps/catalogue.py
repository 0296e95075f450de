"""The steps by the names that the configuration gives them."""

from __future__ import annotations

from typing import Final

from geoweir.core.spec import StepSpec
from geoweir.errors import ConfigurationError
from geoweir.steps.cloud import Cloud
from geoweir.steps.drop import Drop
from geoweir.steps.join import Join
from geoweir.steps.keep import Keep
from geoweir.steps.nearest import Nearest
from geoweir.steps.python import Python
from geoweir.steps.reproject import Reproject
from geoweir.steps.sample import Sample
from geoweir.steps.step import Step, StepContext
from geoweir.steps.validate import Validate
from geoweir.steps.where import Where
from geoweir.steps.zonal import Zonal

__all__ = ["STEPS", "make_step"]

STEPS: Final[dict[str, type[Step]]] = {
    "reproject": Reproject,
    "validate": Validate,
    "join": Join,
    "nearest": Nearest,
    "sample": Sample,
    "zonal": Zonal,
    "cloud": Cloud,
    "where": Where,
    "keep": Keep,
    "drop": Drop,
    "python": Python,
}


def make_step(spec: StepSpec, context: StepContext) -> Step:
    """A step of a stream, ready to run; ConfigurationError for an unknown name."""
    try:
        kind = STEPS[spec.name]
    except KeyError:
        known = ", ".join(STEPS)
        raise ConfigurationError(
            f"stream {context.stream.name}: no step is named {spec.name!r}. Steps: {known}."
        ) from None
    return kind(spec.options, context)
