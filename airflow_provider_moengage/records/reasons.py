"""What is wrong with a record's field, in words of our own and by the name that the source has for it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pydantic_core import ErrorDetails

#: Characters of a key that a reason shows.
SHOWN_KEY = 40
#: What a field must be, by the kind of the validator's error.
_EXPECTED = {
    "string_type": "a string",
    "bool_type": "true or false",
    "int_type": "a whole number",
    "list_type": "a list",
    "dict_type": "an object",
    "model_type": "an object",
}


class FieldRule(ValueError):
    """
    A field breaks a rule; which field that is, is told by where it is raised.

    :param code: the rule.
    :param what: what is said of the field, such as ``is empty``.
    """

    def __init__(self, code: str, what: str) -> None:
        super().__init__(what)
        self.code = code
        self.what = what


def in_column(field: str, column: str) -> str:
    """Return what a reason calls a field that comes from a column: its own name is enough where both have it."""
    return field if field == column else f"{field}, in column {column!r},"


def code_and_reason(error: ErrorDetails, names: Mapping[str, str]) -> tuple[str, str]:
    """
    Return the code and the reason of a validator's error; neither holds a value, nor the validator's words.

    :param names: what reasons call a field, by its path or by the path that its own begins with; an empty name is left
        out.
    """
    where, kind = error["loc"], error["type"]
    context: Mapping[str, Any] = error.get("ctx", {})
    broken = context.get("error")
    if isinstance(broken, FieldRule):
        return broken.code, f"{_called(where, names)} {broken.what}"
    return f"record_{kind}", _reason(kind, where, error["input"], context, names)


def _reason(
    kind: str, where: Sequence[int | str], value: object, context: Mapping[str, Any], names: Mapping[str, str]
) -> str:
    if where and where[-1] == "[key]":
        return f"{_called(where[:-2], names)} has a key of type {type(value).__name__}; keys are strings"
    called = _called(where, names)
    if kind == "missing":
        return f"{called} is missing"
    if kind == "extra_forbidden":
        return f"{called!r} is no field that MoEngage knows there, and would be dropped; leave it out"
    if kind == "string_unicode":
        return f"{called} has half of a surrogate pair, which UTF-8 cannot carry"
    found = "is NULL" if value is None else f"is of type {type(value).__name__}"
    if kind == "literal_error":
        must = f"must be {context['expected']}"
        return f"{called} {must}" if isinstance(value, str) else f"{called} {found}; it {must}"
    if value is None:
        return f"{called} {found}"
    return f"{called} {found}; it must be {_EXPECTED.get(kind, 'as MoEngage documents it')}"


def _called(where: Sequence[int | str], names: Mapping[str, str]) -> str:
    path = ""
    called, known = "", ""
    for step in where:
        path += f"[{step}]" if isinstance(step, int) else f".{step[:SHOWN_KEY]}" if path else step[:SHOWN_KEY]
        if path in names:
            called, known = names[path], path
    rest = path[len(known) :]
    return f"{called}{rest}" if called else rest.lstrip(".")
