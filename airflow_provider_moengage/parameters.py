"""Checks of parameters; each error names the parameter, its value and what is allowed."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from airflow_provider_moengage.api.endpoint import MAX_BODY_BYTES
from airflow_provider_moengage.api.errors import MoEngageParameterError

#: Maximum number of active identifiers of an Identity Resolution workspace.
MAX_IDENTIFIERS = 5
MAX_CONCURRENCY = 256
#: What to do if MoEngage does not know a user.
ON_MISSING = ("ignore", "fail")
#: What to do with events whose request got no response.
ON_UNKNOWN = ("resend", "reject")


def check_column(parameter: str, column: object) -> None:
    """
    Check a parameter that names a column.

    :raises MoEngageParameterError: it is not a name.
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
    Check what happens to a row with an attribute that breaks a rule.

    :raises MoEngageParameterError: it is neither ``reject`` nor ``drop``.
    """
    if value not in ("reject", "drop"):
        raise MoEngageParameterError(f"on_bad_attribute is {value!r}; use 'reject' or 'drop'")


def check_identifiers(identifiers: object) -> frozenset[str]:
    """
    Check the identifiers of an Identity Resolution workspace.

    :raises MoEngageParameterError: they are not a list of up to five names.
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


def check_max_rejected(value: object) -> None:
    """
    Check the number of rows that may be rejected.

    :raises MoEngageParameterError: it is neither a count nor a share.
    """
    count = isinstance(value, int) and not isinstance(value, bool) and value >= 0
    share = isinstance(value, float) and 0 <= value < 1
    if not count and not share:
        raise MoEngageParameterError(
            f"max_rejected is {value!r}; use a whole number of rows from 0, or a share from 0.0 to below 1.0"
        )


def check_concurrency(value: object) -> None:
    """
    Check the number of requests in flight.

    :raises MoEngageParameterError: it is not a whole number from 1 to 256.
    """
    if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= MAX_CONCURRENCY:
        raise MoEngageParameterError(
            f"concurrency is {value!r}; use a whole number from 1 to {MAX_CONCURRENCY}"
        )


def check_max_bytes(value: object) -> None:
    """
    Check the maximum size of a Bulk Import request.

    :raises MoEngageParameterError: it is not a number of bytes, or more than MoEngage accepts.
    """
    if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= MAX_BODY_BYTES:
        raise MoEngageParameterError(f"max_bytes is {value!r}; use a number of bytes up to {MAX_BODY_BYTES}")


def check_one_of(parameter: str, value: object, allowed: Sequence[str]) -> None:
    """
    Check a parameter that is one of a few words.

    :raises MoEngageParameterError: it is another one.
    """
    if not isinstance(value, str) or value not in allowed:
        raise MoEngageParameterError(f"{parameter} is {value!r}; use {' or '.join(map(repr, allowed))}")


def check_max_users(value: object) -> None:
    """
    Check the number of users that may be deleted.

    :raises MoEngageParameterError: it is not a whole number from 1.
    """
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise MoEngageParameterError(f"max_users is {value!r}; use a whole number from 1")


def check_on_restart(on_restart: object) -> None:
    """
    Check what a retry does with events that an earlier attempt may have sent.

    :raises MoEngageParameterError: it is neither ``fail`` nor ``resend``.
    """
    if on_restart not in ("fail", "resend"):
        raise MoEngageParameterError(f"on_restart is {on_restart!r}; use 'fail' or 'resend'")


def check_on_missing(on_missing: object) -> None:
    """
    Check what to do if MoEngage does not know a user.

    :raises MoEngageParameterError: it is neither ``ignore`` nor ``fail``.
    """
    check_one_of("on_missing", on_missing, ON_MISSING)
