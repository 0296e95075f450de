"""Steps: a mapping of one key, the step's name, to its options."""

from __future__ import annotations

import re
from typing import Annotated, Any, Final, Literal, Self

from pydantic import AfterValidator, ConfigDict, Field, model_validator

from geoweir.settings.models.types import FieldNames, Ordered, Scalar, Section, Text, refusal

__all__ = ["COMPARISONS", "Step"]

COMPARISONS: Final = (
    "equals",
    "not_equals",
    "above",
    "below",
    "at_least",
    "at_most",
    "in",
    "not_in",
    "exists",
)

_CALL: Final = re.compile(r"[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*:[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*")


class Reproject(Section):
    """Coordinates in another CRS."""

    to: Text
    """The CRS, such as EPSG:25832; outside its area of use a feature is in error."""


class Validate(Section):
    """An invalid geometry is its feature's error, or is repaired."""

    repair: Literal["none", "structure", "linework"] = "none"
    """How GEOS repairs: by structure, by linework (dearer), or not at all."""
    max_vertices: Annotated[int, Field(ge=4, le=100_000)] = 500
    """Larger geometries are not repaired but in error: the cost grows with the square."""


class Join(Section):
    """The layer's attributes on the features that lie in it."""

    layer: Text
    """The layer's name."""
    predicate: Literal["within", "intersects"] = "within"
    """How a feature must lie to the layer's."""
    attach: FieldNames = Field(default_factory=list)
    """Fields of the layer, attached as LAYER_FIELD; none: its id as LAYER_id."""
    match: Literal["first", "all"] = "first"
    """Values of the first match, or lists with those of all."""


#: What ``nearest`` says of itself, under the names that attached fields get.
_ANSWERS: Final = frozenset({"distance", "snapped", "measure", "side"})


class Nearest(Section):
    """The nearest feature of a layer: its fields, distance, place, measure and side."""

    layer: Text
    """The layer's name."""
    max_distance: Annotated[float, Field(gt=0, le=1_000_000)]
    """Metres; what is farther away is not found."""
    attach: FieldNames = Field(default_factory=list)
    """Fields of the layer, attached as LAYER_FIELD; none: its id as LAYER_id."""

    @model_validator(mode="after")
    def _has_names_of_its_own(self) -> Self:
        for name in self.attach:
            if name in _ANSWERS:
                raise refusal(
                    f"{name} is what this step attaches itself.",
                    "Leave it out, or get that field by a join.",
                    "conflict",
                )
        return self


class Sample(Section):
    """A raster's value at the point."""

    raster: Text
    """The raster's name."""
    band: Annotated[int, Field(ge=1, le=65_535)] = 1
    """The band, counted from 1."""
    as_: Text | None = Field(default=None, alias="as")
    """The property that gets the value; by default the raster's name."""
    method: Literal["nearest", "bilinear"] = "nearest"
    """The pixel that the point lies in, or the four pixels around it weighed by nearness."""


_Stat = Literal["count", "min", "max", "mean", "sum", "majority"]


def _usual_stats() -> list[_Stat]:
    return ["count", "min", "max", "mean"]


class Zonal(Section):
    """Statistics of a raster's pixels over the polygon."""

    raster: Text
    """The raster's name."""
    band: Annotated[int, Field(ge=1, le=65_535)] = 1
    """The band, counted from 1."""
    stats: Annotated[
        list[_Stat],
        Field(min_length=1, max_length=6),
    ] = Field(default_factory=_usual_stats)
    """Which statistics, attached as RASTER_STAT; by default count, min, max and mean."""
    all_touched: bool = False
    """Every pixel that the polygon touches, not those with their centre inside."""
    as_: Text | None = Field(default=None, alias="as")
    """What the names begin with instead of the raster's name."""
    max_pixels: Annotated[int, Field(ge=1, le=100_000_000)] = 10_000_000
    """A polygon over more pixels is in error."""


class Where(Section):
    """What doesn't fulfil every condition counts as filtered."""

    inside: Text | None = None
    """A layer's name: the feature must lie within it."""
    field: Text | None = None
    """The property that is compared."""
    equals: Scalar | None = None
    """The property equals this."""
    not_equals: Scalar | None = None
    """The property doesn't equal this, or is missing."""
    above: Ordered | None = None
    """The property is greater than this."""
    below: Ordered | None = None
    """The property is less than this."""
    at_least: Ordered | None = None
    """The property is this or greater."""
    at_most: Ordered | None = None
    """The property is this or less."""
    in_: Annotated[list[Scalar], Field(min_length=1, max_length=1000)] | None = Field(
        default=None, alias="in"
    )
    """The property equals one of these."""
    not_in: Annotated[list[Scalar], Field(min_length=1, max_length=1000)] | None = None
    """The property equals none of these, or is missing."""
    exists: bool | None = None
    """The property is there and not null; false: it is not."""

    @model_validator(mode="after")
    def _is_complete(self) -> Self:
        compares = bool(self.comparisons())
        if compares and self.field is None:
            raise refusal("a comparison has no field.", "Add field: NAME.", "missing-key")
        if self.inside is None and self.field is None:
            raise refusal(
                "this step compares nothing.",
                "Give inside: LAYER, or field: NAME with a comparison such as above: 5.",
            )
        if self.field is not None and not compares:
            raise refusal(
                "the field is compared with nothing.",
                f"Add one of {', '.join(COMPARISONS)}.",
                "missing-key",
            )
        return self

    def comparisons(self) -> dict[str, object]:
        """The comparisons that are given, by their names in the configuration."""
        given = self.model_dump(by_alias=True, exclude_none=True)
        return {name: given[name] for name in COMPARISONS if name in given}


def _call(value: str) -> str:
    if not _CALL.fullmatch(value):
        raise refusal("this names no function.", "Write module:function.")
    return value


def _name_or_mapping(schema: dict[str, Any]) -> None:
    """The JSON Schema of a step: one key, or the bare name of a step that needs no options."""
    mapping = {**schema, "minProperties": 1, "maxProperties": 1}
    schema.clear()
    schema.update(anyOf=[mapping, {"const": "validate"}], description=mapping["description"])


class Step(Section):
    """One step: its name, and its options below it."""

    model_config = ConfigDict(json_schema_extra=_name_or_mapping)

    reproject: Reproject | None = None
    """Coordinates in another CRS."""
    validate_: Validate | None = Field(default=None, alias="validate")
    """Invalid geometries are errors, or are repaired."""
    join: Join | None = None
    """The layer's attributes on the features that lie in it."""
    nearest: Nearest | None = None
    """The nearest feature of a layer, and the place on it."""
    sample: Sample | None = None
    """A raster's value at the point."""
    zonal: Zonal | None = None
    """Statistics of a raster's pixels over the polygon."""
    where: Where | None = None
    """What doesn't fulfil the conditions counts as filtered."""
    keep: FieldNames | None = None
    """The only properties that are kept."""
    drop: FieldNames | None = None
    """Properties that are left out."""
    python: Annotated[Text, AfterValidator(_call)] | None = None
    """A user's own step: module:function, called with each chunk in the workers."""
    cloud: Any = None
    """Not in this version: a point cloud cropped, thinned, measured or gridded."""
    fence: Any = None
    """Not in this version: events of entering and leaving."""
    proximity: Any = None
    """Not in this version: events of two devices that come near or part."""
    threshold: Any = None
    """Not in this version: events of a value that crosses a limit."""
    track: Any = None
    """Not in this version: speed, course, stops and trips."""
    window: Any = None
    """Not in this version: one summary per key and window of time."""
    cell: Any = None
    """Not in this version: an H3 or geohash cell on the feature."""
    simplify: Any = None
    """Not in this version: fewer vertices."""

    @model_validator(mode="before")
    @classmethod
    def _with_options(cls, value: object) -> object:
        """A bare name, or a name with nothing behind it, is a step without options."""
        if isinstance(value, str):
            return {value: {}}
        if isinstance(value, dict):
            return {name: {} if given is None else given for name, given in value.items()}
        return value

    @model_validator(mode="after")
    def _is_one(self) -> Self:
        if len(self.model_fields_set) != 1:
            raise refusal(
                f"a step has one key, its name; this one has {len(self.model_fields_set)}.",
                "Begin each step with its own dash, and indent its options below its name.",
                "one-step",
            )
        return self
