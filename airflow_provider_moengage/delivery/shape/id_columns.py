"""Reasons and hints for a missing id column."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from airflow_provider_moengage.api.errors import MoEngageRecordInvalid
from airflow_provider_moengage.delivery.shape.column_names import BLANKS, spelling_hint
from airflow_provider_moengage.delivery.shape.not_rows import list_of_rows_in

#: Usual names of id columns, without separators, the most likely first.
ID_NAMES = (
    "customerid", "custid", "userid", "uid", "clientid", "memberid", "contactid", "accountid", "personid", "profileid",
    "externalid", "uniqueid", "customer", "user", "customernumber", "customerno", "customerkey", "userkey", "id",
)  # fmt: skip
_SEPARATORS = re.compile(r"[\s_.-]+")


def likely_id_column(columns: Iterable[object]) -> str | None:
    """Return the column that, by its name, most likely holds ids; None: there is none."""
    plain = {
        _SEPARATORS.sub("", column.strip(BLANKS)).casefold(): column
        for column in columns
        if isinstance(column, str)
    }
    return next((plain[name] for name in ID_NAMES if name in plain), None)


def id_column_hint(columns: Iterable[object]) -> str:
    """Return what to set ``id_column`` to, as the end of a sentence; empty where no column looks like ids."""
    likely = likely_id_column(columns)
    return f", such as id_column={likely!r}" if likely is not None else ""


def missing_id(
    row: Mapping[Any, Any], column: str, called: str, *, parameter: bool = True
) -> MoEngageRecordInvalid:
    """
    Return the reason for which a row without an id is rejected.

    :param column: the column of the id.
    :param called: the id's name in reasons.
    :param parameter: whether ``id_column=`` can name another column.
    """
    if column in row:
        return MoEngageRecordInvalid("customer_id_missing", f"{called} is missing")
    reason = f"the row has no column {column!r}"
    spelling = spelling_hint(column, row)
    if spelling:
        return MoEngageRecordInvalid("column_missing", reason + spelling)
    inside = list_of_rows_in(row)
    if inside is not None:
        reason += f", but a list of {len(row[inside])} rows under {inside!r}: pass that list"
    elif parameter:
        reason += f", which identifies the user; set id_column= to the column that does{id_column_hint(row)}"
    elif (likely := likely_id_column(row)) is not None:
        reason += f", which identifies the user; it has {likely!r}, which may be meant"
    else:
        reason += ", which identifies the user"
    return MoEngageRecordInvalid("customer_id_missing", reason)
