import pytest

from geoweir.settings.units import UnitError, duration_text, read_duration, read_size, size_text


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("4s", 4), ("250ms", 0.25), ("10m", 600), ("1h", 3600), ("2d", 172_800), ("1.5 s", 1.5)],
)
def test_a_duration_is_read_with_its_unit(text: str, seconds: float) -> None:
    assert read_duration(text) == seconds


@pytest.mark.parametrize(
    ("text", "size"),
    [("150MB", 150_000_000), ("64KB", 64_000), ("1GB", 10**9), ("2KiB", 2048), ("1MiB", 2**20)],
)
def test_a_size_is_read_with_its_unit(text: str, size: int) -> None:
    assert read_size(text) == size


@pytest.mark.parametrize("value", [4, 0, 2.5])
def test_a_bare_number_is_refused_with_the_units(value: float) -> None:
    with pytest.raises(UnitError, match="needs a unit") as duration:
        read_duration(value)
    with pytest.raises(UnitError, match="needs a unit") as size:
        read_size(value)
    assert "ms, s, m, h or d" in duration.value.help
    assert "KiB" in size.value.help


@pytest.mark.parametrize("value", ["", "4", "s", "4 years", "-1s", "1e3s", "4MB", True, None, []])
def test_what_is_no_duration_is_refused(value: object) -> None:
    with pytest.raises(UnitError, match="not a duration"):
        read_duration(value)


@pytest.mark.parametrize("text", ["250ms", "4s", "10m", "1h", "2d", "90s"])
def test_a_duration_is_written_as_it_was_read(text: str) -> None:
    assert duration_text(read_duration(text)) == text


@pytest.mark.parametrize("text", ["0B", "1B", "64KB", "150MB", "1GB", "65536B"])
def test_a_size_is_written_as_it_was_read(text: str) -> None:
    assert size_text(read_size(text)) == text
