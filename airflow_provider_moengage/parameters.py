"""Checks of parameters; each error names the parameter, its value and what is allowed."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from math import inf
from typing import TypeGuard

from airflow_provider_moengage.api.endpoint import MAX_BODY_BYTES
from airflow_provider_moengage.api.errors import MoEngageParameterError

#: Maximum number of active identifiers of an Identity Resolution workspace.
MAX_IDENTIFIERS = 5
#: Maximum number of requests in flight.
MAX_CONCURRENCY = 256
#: What to do with an attribute that breaks a rule.
ON_BAD_ATTRIBUTE = ("reject", "drop")
#: What to do if MoEngage does not know a user.
ON_MISSING = ("ignore", "fail")
#: What to do with events whose request got no response.
ON_UNKNOWN = ("resend", "reject")
#: The texts that a template of a switch renders to.
_SWITCHES = {"true": True, "1": True, "false": False, "0": False, "none": False, "": False}
#: What a retry does with events that an earlier attempt may have sent.
ON_RESTART = ("fail", "resend")


def check_one_of(parameter: str, value: object, allowed: Sequence[str], *, optional: bool = False) -> None:
    """
    Check a parameter that is one of a few words.

    :param optional: whether it may be None.
    :raises MoEngageParameterError: it is another one.
    """
    if (optional and value is None) or (isinstance(value, str) and value in allowed):
        return
    if len(allowed) > 2:
        choice = f"one of {', '.join(allowed)}"
    else:
        *first, last = map(repr, (*allowed, None) if optional else allowed)
        choice = f"{', '.join(first)} or {last}"
    raise MoEngageParameterError(f"{parameter} is {value!r}; use {choice}")


def check_switch(parameter: str, value: object, *, optional: bool = False) -> None:
    """
    Check a parameter that is on or off.

    :param optional: whether it may be None.
    :raises MoEngageParameterError: it is neither.
    """
    if not isinstance(value, bool) and not (optional and value is None):
        choice = "True, False or None" if optional else "True or False"
        raise MoEngageParameterError(f"{parameter} is {value!r}; use {choice}")


def check_whole_number(
    parameter: str, value: object, minimum: int, maximum: int | None = None, *, optional: bool = False
) -> None:
    """
    Check a parameter that is a whole number.

    :param maximum: None: there is none.
    :param optional: whether it may be None.
    :raises MoEngageParameterError: it is not one, too small or too large.
    """
    if optional and value is None:
        return
    if not _is_whole(value) or value < minimum or (maximum is not None and value > maximum):
        upwards = "" if maximum is None else f" to {maximum}"
        raise MoEngageParameterError(
            f"{parameter} is {value!r}; use a whole number from {minimum}{upwards}"
            f"{', or None' if optional else ''}"
        )


def check_seconds(parameter: str, value: object, *, optional: bool = False) -> None:
    """
    Check a parameter that is a number of seconds.

    :param optional: whether it may be None.
    :raises MoEngageParameterError: it is not a number, negative or infinite.
    """
    if optional and value is None:
        return
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value < inf:
        raise MoEngageParameterError(
            f"{parameter} is {value!r}; use a number of seconds from 0{', or None' if optional else ''}"
        )


def check_column(parameter: str, column: object) -> None:
    """
    Check a parameter that names a column.

    :raises MoEngageParameterError: it is not a name.
    """
    if not isinstance(column, str) or not column:
        raise MoEngageParameterError(f"{parameter} is {column!r}; use the name of a column")


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


def check_count_or_share(parameter: str, value: object, what: str = "rows") -> None:
    """
    Check a parameter that is a maximum: a whole number from 0, or a share below 1.

    :param what: what is counted, such as ``rows``.
    :raises MoEngageParameterError: it is neither.
    """
    count = _is_whole(value) and value >= 0
    share = isinstance(value, float) and 0 <= value < 1
    if not count and not share:
        raise MoEngageParameterError(
            f"{parameter} is {value!r}; use a whole number of {what} from 0, or a share from 0.0 to below 1.0"
        )


def switch_of_text(parameter: str, value: object) -> bool:
    """
    Return a parameter that is on or off, and may be a text rendered from a template.

    :raises MoEngageParameterError: it is neither.
    """
    if isinstance(value, bool):
        return value
    text = str(value).strip().lower()
    if text not in _SWITCHES:
        raise MoEngageParameterError(f"{parameter} is {value!r} at run time; use True or False")
    return _SWITCHES[text]


def check_max_bytes(value: object) -> None:
    """
    Check the maximum size of a Bulk Import request.

    :raises MoEngageParameterError: it is not a number of bytes, or more than MoEngage accepts.
    """
    if not _is_whole(value) or not 1 <= value <= MAX_BODY_BYTES:
        raise MoEngageParameterError(f"max_bytes is {value!r}; use a number of bytes up to {MAX_BODY_BYTES}")


def _is_whole(value: object) -> TypeGuard[int]:
    return isinstance(value, int) and not isinstance(value, bool)
