from __future__ import annotations

import pytest

from geoweir.cli.environment import check_environment
from geoweir.errors import UsageError


@pytest.mark.parametrize("environ", [{}, {"GEOWEIR_ENV": ""}, {"GEOWEIR_ENV": "production"}])
def test_production_is_what_is_not_named(environ: dict[str, str]) -> None:
    check_environment(environ, processes=4)


def test_staging_is_for_one_process() -> None:
    check_environment({"GEOWEIR_ENV": "staging"}, processes=1)
    with pytest.raises(UsageError, match="without --processes"):
        check_environment({"GEOWEIR_ENV": "staging"}, processes=2)


def test_what_is_unknown_is_refused_by_name() -> None:
    with pytest.raises(UsageError, match="GEOWEIR_ENV: expected production or staging, got 'dev'"):
        check_environment({"GEOWEIR_ENV": "dev"}, processes=1)
