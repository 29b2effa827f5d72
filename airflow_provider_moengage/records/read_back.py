"""
What Get User returns of what was sent: names and values that differ in their form only.

Source: Get User, Data API overview ("User attributes", "datetime"), OpenAPI document ("attributes").
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from airflow_provider_moengage.records.dates import documented_form, is_documented_date
from airflow_provider_moengage.records.names import CREATE_ONLY_NAMES

#: Attributes of which MoEngage keeps the first value, or its own, whatever is sent later. The last two are the written
#: names of ``cr_t`` and ``u_l_a``.
NOT_READ_BACK = CREATE_ONLY_NAMES | frozenset({"created_time", "last_seen"})
#: Names of standard attributes on Track User, and those that the overview lists for fetching.
_INTERNAL_NAMES = {
    "name": "u_n",
    "first_name": "u_fn",
    "last_name": "u_ln",
    "gender": "u_gd",
    "email": "u_em",
    "mobile": "u_mb",
    "moe_geo_location": "geo",
    "revenue": "t_rev",
    "transactions": "t_trans",
}
_OTHER_NAMES: Mapping[str, str] = MappingProxyType(
    {**_INTERNAL_NAMES, **{internal: name for name, internal in _INTERNAL_NAMES.items()}}
)


def names_read(name: str) -> tuple[str, ...]:
    """Return the names under which an attribute may be returned, its own first."""
    other = _OTHER_NAMES.get(name)
    return (name,) if other is None else (name, other)


def value_read(attributes: Mapping[str, Any], name: str) -> Any:
    """Return the value of an attribute of a user that was read; None if the user does not have it."""
    return next((attributes[known] for known in names_read(name) if known in attributes), None)


def normal_form(value: Any) -> Any:
    """
    Return a JSON value in a form that is the same for what was sent and for what is read back.

    Datetimes are compared as instants in whole seconds, a date as its midnight in UTC; numbers as doubles, which is what
    JSON promises; objects without their NULLs, which MoEngage drops. An empty array is None: it unsets the attribute.
    """
    kind = type(value)
    if kind is str:
        return _instant(value) or value
    if kind is int or kind is float:
        return _number(value)
    if kind is list:
        return [normal_form(element) for element in value] or None
    if kind is dict:
        return {key: normal_form(inner) for key, inner in value.items() if inner is not None}
    return value


def _number(value: float) -> float | str:
    try:
        # The sum turns -0.0 into 0.0.
        return float(value) + 0.0
    except OverflowError:
        return str(value)


def _instant(text: str) -> str | None:
    """Return a date or a datetime in MoEngage's form for datetimes; None if a text is neither."""
    if text[4:5] != "-" or text[7:8] != "-":
        return None
    if len(text) == 10:
        return f"{text}T00:00:00Z" if is_documented_date(text) else None
    if text[10] not in "T ":
        return None
    text = f"{text[:10]}T{text[11:]}"
    # The forms without a zone are never sent as a datetime; MoEngage's datetimes are UTC.
    return documented_form(text) or documented_form(f"{text}Z")
