"""Checks the columns of rows with fixed fields, and reads rows that are little more than an id."""

from __future__ import annotations

from collections.abc import Sequence

from pydantic_core import from_json

from airflow_provider_moengage.api.errors import MoEngageParameterError
from airflow_provider_moengage.delivery.shape.column_names import spelling_hint
from airflow_provider_moengage.delivery.shape.id_columns import id_column_hint, missing_id
from airflow_provider_moengage.delivery.shape.ids import id_text
from airflow_provider_moengage.delivery.shape.row_forms import as_row
from airflow_provider_moengage.delivery.shape.row_warnings import RowWarnings
from airflow_provider_moengage.records.reasons import in_column


def parsed_list(text: str) -> object:
    """Return a list that a database or a CSV holds as JSON text; any other text becomes a list of one."""
    try:
        return from_json(text) if text.lstrip().startswith("[") else [text]
    except (ValueError, TypeError):
        return [text]


def check_known_columns(
    columns: Sequence[str], *, needed: Sequence[str], known: set[str], id_column: str
) -> None:
    """
    Check the columns of rows whose fields are fixed by the API.

    :param id_column: the column that ``id_column=`` names.
    :raises MoEngageParameterError: a column is missing, duplicated, or unknown to the API.
    """
    for column in needed:
        if column not in columns:
            which = (
                "set id_column= to the right one of its columns "
                f"({', '.join(columns)}){spelling_hint(column, columns) or id_column_hint(columns)}"
                if column == id_column
                else f"it has {', '.join(columns)}{spelling_hint(column, columns)}"
            )
            raise MoEngageParameterError(f"the source has no column {column!r}; {which}")
    for column in columns:
        if column not in known:
            raise MoEngageParameterError(
                f"the source has column {column!r}, which MoEngage would drop; leave it out, it accepts "
                + ", ".join(sorted(known))
                + next((hint for name in sorted(known) if (hint := spelling_hint(name, [column]))), "")
            )
        if columns.count(column) > 1:
            raise MoEngageParameterError(f"the source has column {column!r} twice; give each its own name")


#: Names of the kinds of ids in reasons.
_CALLED = {"customer_id": "customer_id", "id": "the MoEngage id", "moengage_id": "the MoEngage id"}


def id_of_row(
    row: object, id_column: str, warnings: RowWarnings, kind: str = "customer_id"
) -> tuple[str | None, str]:
    """Return the id of a row, which may be a bare id, and the id's name in reasons."""
    called = _CALLED[kind]
    if isinstance(row, (str, int)):
        return id_text(row, warnings, called), called
    called = in_column(called, id_column)
    row = as_row(row)
    text = id_text(row.get(id_column), warnings, called)
    if text is None:
        raise missing_id(row, id_column, called)
    return text, called


def check_has_column(columns: Sequence[str], column: str, parameter: str) -> None:
    """
    Check that a source has a column.

    :param parameter: the parameter that names the column.
    :raises MoEngageParameterError: it does not.
    """
    if column not in columns:
        raise MoEngageParameterError(
            f"the source has no column {column!r}; set {parameter}= to the right one of "
            f"its columns ({', '.join(columns)})"
            + (
                spelling_hint(column, columns)
                or (id_column_hint(columns) if parameter == "id_column" else "")
            )
        )
