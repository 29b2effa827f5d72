"""The two forms of a row: flat, and the API's own shape."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic_core import from_json

from airflow_provider_moengage.api.errors import MoEngageRecordInvalid
from airflow_provider_moengage.delivery.shape.ids import is_absent

#: Fields of the API's own shape that are objects or lists.
STRUCTURES = frozenset({"attributes", "unset_attributes", "platforms", "actions", "user_identifiers"})


def as_row(row: object) -> Mapping[Any, Any]:
    """
    Return a row, if it is a dict.

    :raises MoEngageRecordInvalid: it is not a dict.
    """
    if isinstance(row, Mapping):
        return row
    raise MoEngageRecordInvalid(
        "row_type", f"a row is of type {type(row).__name__}; it must be a dict of column and value"
    )


def is_type(value: object, kind: str) -> bool:
    """Whether a row's ``type`` is ``kind``; case-sensitive, as MoEngage ignores records of another case."""
    return isinstance(value, str) and value == kind


def own_id_column(row: Mapping[Any, Any], id_column: str) -> str:
    """Return the id column of a row in the API's own shape, which may have the API's own name."""
    return "customer_id" if id_column not in row and "customer_id" in row else id_column


def own_fields(
    row: Mapping[Any, Any], known: frozenset[str], id_column: str, otherwise: str
) -> dict[str, Any]:
    """
    Return the fields of a row in the API's own shape, without its id.

    Such rows may come from tables: a NULL counts as absent, and an object or a list may be JSON text.

    :param otherwise: the reason for an unknown field, with a placeholder for its name.
    :raises MoEngageRecordInvalid: it has a field that the API does not know, and would drop.
    """
    fields = {}
    for key, value in row.items():
        if key not in known and key != id_column:
            raise MoEngageRecordInvalid("unknown_key", otherwise.format(key))
        if key in STRUCTURES and isinstance(value, str):
            value = _parsed(value)
        if key not in ("customer_id", id_column) and not is_absent(value):
            fields[key] = value
    return fields


def _parsed(text: str) -> object:
    try:
        return from_json(text)
    except (ValueError, TypeError):
        return text
