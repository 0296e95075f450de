"""The configuration's JSON Schema, for editors and for naming valid keys."""

from __future__ import annotations

from typing import Any

from geoweir.settings.models.root import Config

__all__ = ["json_schema"]


def json_schema() -> dict[str, Any]:
    """JSON Schema (draft 2020-12) of the configuration; every field has a description."""
    # Mode: only so are defaults shown as they are written, with units.
    schema = Config.model_json_schema(by_alias=True, mode="serialization")
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema}
