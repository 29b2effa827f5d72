"""Error texts for values that are not a list of rows: what they look like, and what to pass instead."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from airflow_provider_moengage.delivery.shape.column_names import API_FIELDS

#: Keys of ``frame.to_dict('split')``, and of ``'tight'``.
SPLIT_KEYS = frozenset({"index", "columns", "data"})
#: Fields of the API's own shape that are objects.
OBJECT_FIELDS = frozenset({"attributes", "user_identifiers"})
RECORDS = "frame.to_dict('records')"


def of_nothing(parameter: str) -> str:
    """Return the error text for rows that are None when the task runs."""
    return (
        f"{parameter} is None at run time: did the upstream task return nothing? Check the task_ids= of xcom_pull and what "
        "that task returns; an empty list means no rows"
    )


def of_empty_text(parameter: str, value: object) -> str | None:
    """Return the error text for a text parameter that is None or blank when the task runs; None: it is neither."""
    # A template renders None as the text "None".
    text = str(value).strip()
    if text in ("", "None"):
        shown = text or "empty"
        return f"{parameter} is {shown} at run time: did its template, or the upstream task, return nothing?"
    return None


def of_dict(parameter: str, value: Mapping[Any, Any]) -> str:
    """Return the error text for a dict; it shows no value, and only the key of a list."""
    if SPLIT_KEYS.issubset(value) or _is_dict_of_columns(value):
        return f"{parameter} is a dict of columns, not a list of rows; of a data frame, pass {RECORDS}"
    key = list_of_rows_in(value)
    if key is None and len(value) == 1:
        # A list of ids, which some operators accept as rows.
        key = next(
            (key for key, one in value.items() if isinstance(key, str) and isinstance(one, list)), None
        )
    if key is not None:
        # Not upstream.output[key], which is another XCom.
        return (
            f"{parameter} is a dict, not a list of rows: its key {key!r} holds a list of {len(value[key])}; return that list "
            f"from the upstream task, or pass {parameter}=\"{{{{ ti.xcom_pull(task_ids='upstream')[{key!r}] | tojson }}}}\""
        )
    if (
        value
        and not OBJECT_FIELDS.issuperset(value)
        and all(isinstance(one, Mapping) for one in value.values())
    ):
        return (
            f"{parameter} is a dict of dicts, not a list of rows; of a data frame, pass {RECORDS}, of rows by their "
            "keys list(rows.values())"
        )
    if not value:
        return f"{parameter} is an empty dict, not a list of rows; an empty list means no rows"
    return f"{parameter} is a dict, not a list of rows; pass a single row as a list of one, [row]"


def of_another_type(parameter: str, value: object) -> str:
    """Return the error text for a value that is neither a list nor a dict."""
    # Frames first: iterating over one yields its column names.
    if hasattr(value, "to_dicts"):
        hint = "; of a data frame, pass frame.to_dicts()"
    elif hasattr(value, "to_pylist"):
        hint = "; of a table or an array, pass table.to_pylist()"
    elif hasattr(value, "to_dict") and hasattr(value, "columns"):
        hint = f"; of a data frame, pass {RECORDS}"
    elif hasattr(value, "tolist"):
        hint = "; of a series or an array of ids, pass series.tolist()"
    else:
        hint = ""
    return (
        f"{parameter} is of type {type(value).__name__}; use a list of rows, an upstream task's output, or a template that "
        f"renders to a JSON list{hint}"
    )


def list_of_rows_in(row: Mapping[Any, Any]) -> str | None:
    """Return the only key of a dict that holds a list of dicts, as in ``{"rows": [...]}``; None: there is none, or several."""
    keys = [
        key
        for key, value in row.items()
        if isinstance(key, str)
        and key not in API_FIELDS
        and isinstance(value, (list, tuple))
        and value
        and all(isinstance(one, Mapping) for one in value)
    ]
    return keys[0] if len(keys) == 1 else None


def _is_dict_of_columns(value: Mapping[Any, Any]) -> bool:
    """Whether a dict looks like ``frame.to_dict('list')`` or ``frame.to_dict('series')``: columns of one length."""
    columns = list(value.values())
    if not all(isinstance(one, list) or hasattr(one, "tolist") for one in columns):
        return False
    first = columns[0] if columns else None
    return (len(columns) > 1 or hasattr(first, "tolist")) and len({len(one) for one in columns}) == 1
