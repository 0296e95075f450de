from geoweir.settings.faults import MOST_FAULTS, Fault, in_order, path_text, printable


def a_fault(line: int, *, severity: str = "error") -> Fault:
    return Fault(
        file="gw.yaml",
        line=line,
        column=7,
        path="a.b",
        code="unknown-key",
        severity="warning" if severity == "warning" else "error",
        message="unknown key.",
        help='The nearest valid key here is "bbox".',
        source="      bbx: [1]",
        caret=6,
        width=3,
    )


def test_a_fault_is_complete_on_one_line() -> None:
    assert a_fault(23).line_form() == (
        'gw.yaml:23:7 a.b: unknown key. The nearest valid key here is "bbox". [unknown-key]'
    )


def test_a_warning_says_so() -> None:
    assert "gw.yaml:1:7 a.b: warning: unknown key." in a_fault(1, severity="warning").line_form()


def test_the_caret_stands_below_the_key() -> None:
    assert a_fault(23).source_form() == "   23 |       bbx: [1]\n      |       ^^^"


def test_the_json_form_has_what_the_contract_names() -> None:
    assert list(a_fault(1).json_form()) == [
        "file", "line", "column", "path", "code", "severity", "message", "help",
    ]  # fmt: skip


def test_faults_come_by_line_and_each_once() -> None:
    assert [one.line for one in in_order([a_fault(3), a_fault(1), a_fault(3)])] == [1, 3]


def test_too_many_faults_are_counted_and_errors_go_before_warnings() -> None:
    warnings = [a_fault(line, severity="warning") for line in range(1, 300)]
    found = in_order([*warnings, a_fault(999)])
    assert len(found) == MOST_FAULTS
    assert 999 in {one.line for one in found}
    assert found[-1].message == "101 more faults are not listed."


def test_a_path_is_written_with_dots_and_indices() -> None:
    assert path_text(("streams", "a", "steps", 2, "join")) == "streams.a.steps[2].join"


def test_nothing_that_a_terminal_acts_on_is_shown() -> None:
    assert printable("a\x1b[31m\u202e") == "a\ufffd[31m\ufffd"
