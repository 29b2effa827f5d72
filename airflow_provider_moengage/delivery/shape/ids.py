"""Reads the ids of rows: texts or whole numbers, without blanks at their ends."""

from __future__ import annotations

import math

from airflow_provider_moengage.api.errors import MoEngageRecordInvalid
from airflow_provider_moengage.delivery.shape.column_names import BLANKS
from airflow_provider_moengage.delivery.shape.convert import customer_id_text, is_null
from airflow_provider_moengage.delivery.shape.row_warnings import RowWarnings


def id_text(value: object, warnings: RowWarnings, called: str = "customer_id") -> str | None:
    """
    Return an id as the string MoEngage accepts, without blanks at its ends: ``12345`` and ``"12345 "`` as ``"12345"``.

    :param warnings: counts the ids that had blanks.
    :param called: the id's name in reasons.
    :return: None where there is no id, or only blanks.
    :raises MoEngageRecordInvalid: the value cannot be an id without being changed.
    """
    if type(value) is str and value.isascii() and value.strip() is value and value:
        # Nearly all ids.
        return value
    try:
        text = customer_id_text(value)
    except MoEngageRecordInvalid as error:
        if called == "customer_id":
            raise
        raise MoEngageRecordInvalid(
            error.code,
            f"{called} has a value of type {type(value).__name__} that is not an id; ids are strings or whole numbers",
        ) from None
    if text is None:
        return None
    stripped = text.strip(BLANKS)
    if len(stripped) != len(text):
        warnings.strip_id()
    return stripped or None


def identifier_text(name: str, value: object, warnings: RowWarnings) -> str | None:
    """
    Return an identifier as a text; a whole number is converted.

    :return: None where there is none.
    :raises MoEngageRecordInvalid: the value cannot be an identifier without being changed.
    """
    try:
        return id_text(value, warnings)
    except MoEngageRecordInvalid:
        raise MoEngageRecordInvalid(
            "identifier_type", f"identifier {name!r} has a value of type {type(value).__name__}; use a text"
        ) from None


def is_no_id(value: object) -> bool:
    """Whether a value means that there is no id: it is absent, or a text of blanks."""
    return is_absent(value) or (isinstance(value, str) and not value.strip(BLANKS))


def is_absent(value: object) -> bool:
    """Whether a value is what tables hold for a missing one: None, NaN, and pandas' NaT and NA."""
    return is_null(value) or (isinstance(value, float) and math.isnan(value))
