import pytest

from geoweir.cli.command import main


@pytest.mark.parametrize("number", ["0", "-1", "65", "1000000000000", "two", "1.5", "", "²", "٣"])
def test_a_number_of_processes_that_makes_no_sense_is_wrong_usage(
    number: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["run", "-c", "none.yaml", f"--processes={number}"])
    assert ended.value.code == 2
    last = capsys.readouterr().err.splitlines()[-1]
    assert last == ("geoweir run: error: argument --processes: expected a number from 1 to 64")


def test_the_commands_that_it_starts_are_in_no_help(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["--help"])
    text = capsys.readouterr().out
    assert "replay" in text
    assert "member" not in text
    assert "supervise" not in text
