"""Reasons of rejection: what is wrong with a field, under the name that the source has for it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pydantic_core import ErrorDetails

#: The maximum length of a key in a reason.
MAX_SHOWN_KEY = 40
#: The expected type of a field, by the type of the validator's error.
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
    A field breaks a rule; the validator that raises it identifies the field.

    :param code: the code of the rule.
    :param fault: what is wrong with the field, as a predicate such as ``is empty``.
    """

    def __init__(self, code: str, fault: str) -> None:
        super().__init__(fault)
        self.code = code
        self.fault = fault


def in_column(field: str, column: str) -> str:
    """Return the name in reasons of a field that comes from a column: its own name if both are the same."""
    return field if field == column else f"{field}, in column {column!r},"


def code_and_reason(error: ErrorDetails, names: Mapping[str, str]) -> tuple[str, str]:
    """
    Return the code and the reason for a validator's error, without any value or text of the validator.

    :param names: the names of fields in reasons, by the path of a field or a prefix of it; an empty name is left out.
    """
    where, kind = error["loc"], error["type"]
    context: Mapping[str, Any] = error.get("ctx", {})
    broken = context.get("error")
    if isinstance(broken, FieldRule):
        return broken.code, f"{_called(where, names)} {broken.fault}"
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
        return f"{called!r} is not a field that MoEngage knows there, and would be dropped; leave it out"
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
        path += (
            f"[{step}]"
            if isinstance(step, int)
            else f".{step[:MAX_SHOWN_KEY]}"
            if path
            else step[:MAX_SHOWN_KEY]
        )
        if path in names:
            called, known = names[path], path
    rest = path[len(known) :]
    return f"{called}{rest}" if called else rest.lstrip(".")
