"""Steps: a mapping of one key, the step's name, to its options."""

from __future__ import annotations

import re
from typing import Annotated, Any, Final, Literal, Self

from pydantic import AfterValidator, ConfigDict, Field, model_validator

from geoweir.settings.models.types import (
    FieldNames,
    Kind,
    Ordered,
    Scalar,
    Section,
    Text,
    is_number,
    refusal,
)

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


#: An edge of cells: more than nothing, and never so small that dividing by it overflows.
Edge = Annotated[float, Field(ge=1e-9, le=1e9)]
Statistic = Literal[
    "count", "min_z", "max_z", "mean_z", "std_z", "median_z", "p95_z", "area", "density"
]


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


def _bbox(value: object) -> object:
    """Four or six numbers as a tuple, each least one not above its greatest one."""
    if isinstance(value, list) and len(value) in {4, 6} and all(map(is_number, value)):
        half = len(value) // 2
        if all(low <= high for low, high in zip(value[:half], value[half:], strict=True)):
            return tuple(map(float, value))
    raise refusal(
        "this is no box.",
        "Write [WEST, SOUTH, EAST, NORTH] or [WEST, SOUTH, LOWEST, EAST, NORTH, HIGHEST],"
        " each least one not above its greatest one.",
    )


_BBOX_SCHEMA: Final[dict[str, Any]] = {
    "type": "array",
    "items": {"type": "number"},
    "minItems": 4,
    "maxItems": 6,
}


def _is_one_of(section: Section, first: str, second: str) -> None:
    given = [getattr(section, name) is not None for name in (first, second)]
    if not any(given):
        raise refusal("there is nothing in it.", f"Give {first} or {second}.", "missing-key")
    if all(given):
        raise refusal(f"{first} and {second} are both given.", "Keep one of the two.", "conflict")


class Crop(Section):
    """Which points stay: those in a layer's polygons or in a box, edges included."""

    layer: Text | None = None
    """The layer's name."""
    bbox: Annotated[tuple[float, ...], Kind(_bbox, _BBOX_SCHEMA)] | None = None
    """[west, south, east, north] or, as in GeoJSON, [west, south, lowest, east, north, highest]."""

    @model_validator(mode="after")
    def _has_one_shape(self) -> Self:
        _is_one_of(self, "layer", "bbox")
        return self


class HeightAbove(Section):
    """What z is measured from."""

    raster: Text | None = None
    """A raster's name: its height at the point, bilinear."""
    lowest: Edge | None = None
    """Edge of square cells in units of the CRS: the lowest point of the point's cell."""

    @model_validator(mode="after")
    def _has_one_ground(self) -> Self:
        _is_one_of(self, "raster", "lowest")
        return self


class Grid(Section):
    """A small raster as a property."""

    cell: Edge
    """Edge of a cell in units of the CRS."""
    value: Literal["max", "min", "mean", "count"] = "max"
    """What a cell holds of the z of its points, or their number."""
    as_: Text | None = Field(default=None, alias="as")
    """Name of the property; null: PREFIX_grid."""
    max_cells: Annotated[int, Field(ge=1, le=1_000_000)] = 10_000
    """A grid of more cells is an error of the feature."""


class Cloud(Section):
    """A point cloud cropped, thinned, measured or gridded."""

    crop: Crop | None = None
    """Which points stay."""
    voxel: Edge | None = None
    """Edge of a voxel in units of the CRS: the point nearest to its centre stays."""
    height_above: HeightAbove | None = None
    """z becomes the height above this; points above nothing known are dropped."""
    stats: Annotated[list[Statistic], Field(max_length=9)] = Field(default_factory=list)
    """Statistics of what is left, each as PREFIX_NAME."""
    grid: Grid | None = None
    """A raster of what is left."""
    as_: Text = Field(default="cloud", alias="as")
    """The prefix of the properties."""
    max_points: Annotated[int, Field(ge=1, le=1_000_000)] = 250_000
    """A cloud of more points is an error of the feature."""

    @model_validator(mode="after")
    def _does_something(self) -> Self:
        if not (self.crop or self.voxel or self.height_above or self.stats or self.grid):
            raise refusal(
                "this step does nothing.",
                "Give one of crop, voxel, height_above, stats and grid.",
                "missing-key",
            )
        return self


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
    cloud: Cloud | None = None
    """A point cloud (MultiPoint with z) cropped, thinned, measured or gridded, in this order."""
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
