"""Checks of parameters: each error names the parameter, its value and what is allowed."""

from __future__ import annotations

from collections.abc import Iterable

from airflow_provider_moengage.api.errors import MoEngageParameterError

#: An Identity Resolution workspace has at most so many active identifiers.
MAX_IDENTIFIERS = 5


def check_column(parameter: str, column: object) -> None:
    """
    Check a parameter that names a column.

    :raises MoEngageParameterError: it is no name.
    """
    if not isinstance(column, str) or not column:
        raise MoEngageParameterError(f"{parameter} is {column!r}; use the name of a column")


def check_switch(parameter: str, value: object) -> None:
    """
    Check a parameter that is on or off.

    :raises MoEngageParameterError: it is neither.
    """
    if not isinstance(value, bool):
        raise MoEngageParameterError(f"{parameter} is {value!r}; use True or False")


def check_on_bad_attribute(value: object) -> None:
    """
    Check what becomes of a row with an attribute that breaks a rule.

    :raises MoEngageParameterError: it is neither ``reject`` nor ``drop``.
    """
    if value not in ("reject", "drop"):
        raise MoEngageParameterError(f"on_bad_attribute is {value!r}; use 'reject' or 'drop'")


def check_identifiers(identifiers: object) -> frozenset[str]:
    """
    Check the identifiers of an Identity Resolution workspace.

    :raises MoEngageParameterError: they are no list of up to five names.
    """
    names = (
        list(identifiers) if isinstance(identifiers, Iterable) and not isinstance(identifiers, str) else None
    )
    if (
        names is None
        or len(names) > MAX_IDENTIFIERS
        or not all(isinstance(name, str) and name for name in names)
    ):
        raise MoEngageParameterError(
            f"identifiers is {identifiers!r}; use a list of up to {MAX_IDENTIFIERS} names, such as ['moe_mobile']"
        )
    return frozenset(names)
