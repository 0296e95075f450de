"""The topics of the measurements; the last level is the device's id."""

from __future__ import annotations

from typing import Final

__all__ = ["BESIDE_IN", "BESIDE_OUT", "IN", "OUT", "UNPUBLISHED"]

IN: Final = "bench/in/"
OUT: Final = "bench/out/"

#: A second stream, beside the one that is put under strain.
BESIDE_IN: Final = "beside/in/"
BESIDE_OUT: Final = "beside/out/"

#: Where geoweir says which inputs it did not publish; the stream's name follows.
UNPUBLISHED: Final = ("geoweir/rejected/", "geoweir/reconcile/")
