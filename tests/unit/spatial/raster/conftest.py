import pytest

from geoweir.spatial.kernel.loaded import has_kernel
from geoweir.spatial.raster import zonal


@pytest.fixture(params=["kernel", "numpy"])
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Both ways of finding a polygon's pixels."""
    if request.param == "kernel" and not has_kernel():
        pytest.skip("there is no C kernel")
    monkeypatch.setattr(zonal, "has_kernel", lambda: request.param == "kernel")
    return str(request.param)
