"""What every worker has from birth: imported once by the forkserver, whose forks workers are.

Layers are not among it: they are files that the service opens and hands over, and a mapped page is
shared by all who map it. PROJ transformers are not made here either: their database handles must
not cross a fork.
"""

from __future__ import annotations

import gc
from typing import Final

import numpy as np
import numpy.ma  # numpy imports it when it is first needed, which a sandbox refuses
import orjson
import pyproj
import shapely

__all__ = ["WARM"]

#: What nearly every chunk goes through.
WARM: Final = (np, orjson, pyproj, shapely)

gc.collect()
gc.freeze()  # a collection in a worker would write on, and so copy, every shared page
