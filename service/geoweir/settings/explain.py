"""What validation found, in plain sentences with a place in the file."""

from __future__ import annotations

from typing import Any, Final

from geoweir.settings.document import Document
from geoweir.settings.excerpt import is_secret_name
from geoweir.settings.faults import MOST_FAULTS, Fault, KeyPath
from geoweir.settings.models.root import Problem
from geoweir.settings.outline import description, keys, remedy_for_unknown

__all__ = ["explain"]

#: pydantic's name of an error: our code, what is wrong, what to do. Bounds are filled in.
_SENTENCES: Final = {
    "string_type": ("wrong-type", "this must be a text{given}.", "Write a text, in quotes."),
    "int_type": (
        "wrong-type",
        "this must be a whole number{given}.",
        "Write one, without quotes or a fraction.",
    ),
    "float_type": ("wrong-type", "this must be a number{given}.", "Write it without quotes."),
    "bool_type": ("wrong-type", "this must be true or false{given}.", "Write true or false."),
    "list_type": (
        "wrong-type",
        "this must be a list{given}.",
        "Write a list: [A, B].",
    ),
    "tuple_type": ("wrong-type", "this must be a list{given}.", "Write a list: [A, B]."),
    "dict_type": (
        "wrong-type",
        "this must hold settings by name{given}.",
        "Write NAME: and indent.",
    ),
    "model_type": ("wrong-type", "this must hold settings{given}.", "Write {{key: value}}."),
    "greater_than_equal": ("out-of-range", "this is too small.", "Write {ge} or more."),
    "less_than_equal": ("out-of-range", "this is too large.", "Write {le} or less."),
    "greater_than": ("out-of-range", "this is too small.", "Write more than {gt}."),
    "less_than": ("out-of-range", "this is too large.", "Write less than {lt}."),
    "finite_number": ("out-of-range", "this is not a finite number.", "Write a finite number."),
    "too_short": (
        "out-of-range",
        "there are {actual_length} here, too few.",
        "Give at least {min_length}.",
    ),
    "too_long": (
        "out-of-range",
        "there are {actual_length} here, too many.",
        "Give at most {max_length}.",
    ),
    "string_too_short": ("bad-value", "this text is empty.", "Write a text, or remove the key."),
    "string_too_long": (
        "bad-value",
        "this text is too long.",
        "Write at most {max_length} characters.",
    ),
}
_KINDS: Final[tuple[tuple[type, str], ...]] = (
    (bool, "true or false"),
    (int, "a number"),
    (float, "a number with a fraction or an exponent"),
    (str, "a text"),
    (list, "a list"),
    (dict, "a mapping"),
)


def explain(document: Document, problems: list[Problem]) -> list[Fault]:
    """A fault for each problem whose value could be read at all."""
    told = [problem for problem in problems if not document.is_broken(_path(problem))]
    return [_fault(document, problem) for problem in told[: MOST_FAULTS + 1]]


def _path(problem: Problem) -> KeyPath:
    """Where the setting stands; pydantic marks a wrong key of a mapping with ``[key]``."""
    return problem.path[:-1] if problem.path[-1:] == ("[key]",) else problem.path


def _fault(document: Document, problem: Problem) -> Fault:
    path, context = _path(problem), problem.context
    if context.get("is_ours"):
        return document.fault(path, problem.kind, context["what"], context["help"])
    if problem.kind == "extra_forbidden":
        return document.fault(path, "unknown-key", "unknown key.", remedy_for_unknown(path))
    if problem.kind == "missing":
        purpose = description(path)
        remedy = f"Add {path[-1]}: {purpose[:1].lower()}{purpose[1:]}" if purpose else "Add it."
        return document.fault(path, "missing-key", "this setting is missing.", remedy)
    if problem.kind == "model_type" and (names := keys(path)):
        given = _given(document, path)
        what = f"this must hold settings{given}."
        return document.fault(path, "wrong-type", what, f"Write {{{names[0]}: …}}.")
    if problem.kind == "literal_error":
        return _not_listed(document, path, context)
    code, message, remedy = _SENTENCES.get(
        problem.kind, ("bad-value", "this value is not usable here.", "Correct it.")
    )
    words = {**context, "given": _given(document, path)}
    return document.fault(path, code, message.format(**words), remedy.format(**words))


def _not_listed(document: Document, path: KeyPath, context: dict[str, Any]) -> Fault:
    allowed = str(context.get("expected", "")).replace("'", "")
    written = document.written.get(path)
    is_shown = written is not None and not any(is_secret_name(str(part)) for part in path)
    subject = document.quoted(path) if is_shown else "this"
    return document.fault(path, "bad-value", f"{subject} is not allowed here.", f"Write {allowed}.")


def _given(document: Document, path: KeyPath) -> str:
    """What kind of value stands at a path, never the value."""
    value: object = document.data
    for part in path:
        if isinstance(value, dict):
            value = value.get(part)
        elif isinstance(value, list) and isinstance(part, int) and part < len(value):
            value = value[part]
        else:
            return ""
    if value is None:
        return ", and it is empty"
    return next((f", and it is {name}" for kind, name in _KINDS if isinstance(value, kind)), "")
