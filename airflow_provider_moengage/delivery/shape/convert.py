"""
Converts the values of databases, files and tasks to the JSON values MoEngage accepts, by their own types.

Types are preserved: numbers stay numbers, datetimes become UTC in MoEngage's form. A value that JSON cannot represent is
rejected and never silently turned into a text. Conversion by the parameter ``types`` is in :mod:`~.typed_text`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from datetime import date, datetime, timezone, tzinfo
from decimal import Decimal
from numbers import Integral, Real
from typing import Any
from uuid import UUID

from msgspec import to_builtins

from airflow_provider_moengage.api.errors import MoEngageRecordInvalid
from airflow_provider_moengage.delivery.shape.foreign import InexactFloat, python_value
from airflow_provider_moengage.delivery.shape.foreign import OutOfRange as OutOfRange
from airflow_provider_moengage.records.dates import SHORTEST_OTHER_INSTANT, documented_form

#: From here on floats cannot represent every integer, so a float is rejected as an id.
MAX_EXACT_FLOAT = 2**53

#: Exceptions of a conversion that do not come from a value's own code.
OWN_ERRORS = (MoEngageRecordInvalid, RecursionError, MemoryError)


def json_value(name: str, value: object, zone: tzinfo | None) -> Any:
    """
    Convert a value by its own type; texts are unchanged.

    :param name: the attribute, for the error.
    :param zone: the zone of naive datetimes; None rejects them.
    :return: a JSON value; None for NULL and what counts as NULL (NaN, NaT, infinities). NULLs in objects are left out.
    :raises MoEngageRecordInvalid: JSON or MoEngage cannot represent the value.
    """
    if value is None or type(value) in (str, int, bool):
        return value
    try:
        return _converted(name, value, zone, _same)
    except OWN_ERRORS:
        raise
    except Exception as error:
        raise unconvertible(name, value, error) from None


def attribute_value(name: str, value: object, zone: tzinfo | None) -> Any:
    """
    Convert an attribute's value as :func:`json_value` does, and ISO 8601 instants to the form MoEngage documents.

    :raises MoEngageRecordInvalid: JSON or MoEngage cannot represent the value.
    """
    kind = type(value)
    if kind is str:
        return _instant(value)  # type: ignore[arg-type]
    if value is None or kind is int or kind is bool:
        return value
    try:
        return _converted(name, value, zone, _instant)
    except OWN_ERRORS:
        raise
    except Exception as error:
        raise unconvertible(name, value, error) from None


def unconvertible(name: str, value: object, error: Exception) -> MoEngageRecordInvalid:
    """Return the rejection of a value whose own code raised an error."""
    return MoEngageRecordInvalid(
        "value_type",
        f"attribute {name!r} has a value of type {type(value).__name__} that cannot be converted: it raises "
        f"{type(error).__name__}",
    )


def _same(text: str) -> str:
    return text


def _instant(text: str) -> str:
    # A shorter text is in the documented form already, or is not an instant.
    return text if len(text) < SHORTEST_OTHER_INSTANT else documented_form(text) or text


def _converted(name: str, value: object, zone: tzinfo | None, text: Callable[[str], str]) -> Any:
    """
    Convert a value by its own type.

    :param text: converts texts.
    """
    convert = EXACT_TYPES.get(type(value))
    if convert is not None:
        return convert(name, value, zone)
    value = python_value(value)
    if is_null(value):
        return None
    if isinstance(value, bool):
        return value
    if isinstance(value, str):
        return text(plain_text(value))
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else None
    if isinstance(value, Decimal):
        return decimal_number(name, value)
    if isinstance(value, datetime):
        return utc_text(name, value, zone)
    if isinstance(value, date):
        return date.isoformat(value)
    if isinstance(value, UUID):
        return str(value)
    if isinstance(value, Mapping):
        members = {
            plain_text(key) if isinstance(key, str) else key: _converted(f"{name}.{key}", inner, zone, text)
            for key, inner in value.items()
        }
        return {key: inner for key, inner in members.items() if inner is not None}
    if isinstance(value, (list, tuple)):
        return [_converted(name, element, zone, text) for element in value]
    if isinstance(value, Integral):
        return int(value)
    if isinstance(value, Real):
        return _real(name, value)
    if isinstance(value, OutOfRange):
        raise MoEngageRecordInvalid(
            "value_range",
            f"attribute {name!r} has a {value.kind} that Python cannot represent, such as an infinity or a year that is not from 1 "
            "to 9999",
        )
    raise MoEngageRecordInvalid(
        "value_type",
        f"attribute {name!r} has a value of type {type(value).__name__}; MoEngage accepts strings, numbers, booleans, "
        "datetimes, objects, and arrays of one of these",
    )


def plain_text(value: str) -> str:
    """Return a text of any subclass of ``str`` as a plain ``str``."""
    # Not str(value), which would return the name of an enum member.
    return value if type(value) is str else str.__str__(value)


def is_null(value: object) -> bool:
    """Whether a value, numbers aside, counts as NULL: None, and pandas' NaT and NA."""
    return value is None or type(value).__name__ in ("NaTType", "NAType")


def plain_datetime(value: datetime) -> datetime:
    """Return a datetime of any subclass as a plain ``datetime``."""
    if type(value) is datetime:
        return value
    clock = (value.hour, value.minute, value.second, value.microsecond)
    return datetime(value.year, value.month, value.day, *clock, value.tzinfo, fold=value.fold)


def utc_text(name: str, value: datetime, zone: tzinfo | None) -> str:
    """Write a datetime as ``YYYY-MM-DDTHH:mm:ssZ``, the form MoEngage recognises."""
    if value.tzinfo is not timezone.utc or type(value) is not datetime:
        value = _in_utc(name, plain_datetime(value), zone)
    # Without its fraction. isoformat() takes five times as long.
    text: str = to_builtins(value)
    return text[:19] + "Z"


def _in_utc(name: str, value: datetime, zone: tzinfo | None) -> datetime:
    if value.tzinfo is None or value.utcoffset() is None:
        if zone is None:
            raise MoEngageRecordInvalid(
                "naive_datetime",
                f"attribute {name!r} has a datetime without a time zone; set timezone='UTC' or another zone",
            )
        value = value.replace(tzinfo=zone)
    try:
        return value.astimezone(timezone.utc)
    except OverflowError:
        raise MoEngageRecordInvalid(
            "datetime_range", f"attribute {name!r} has a datetime out of range"
        ) from None


def finite_number(name: str, value: float, zone: tzinfo | None = None) -> float | None:
    """Return a float; None for NaN and the infinities, which count as NULL."""
    return value if math.isfinite(value) else None


def decimal_number(name: str, value: Decimal, zone: tzinfo | None = None) -> int | float | None:
    """
    Write a Decimal as a JSON number; None for NaN and the infinities, which count as NULL.

    :raises MoEngageRecordInvalid: it is too large.
    """
    if not value.is_finite():
        return None
    number = float(value)
    # The exponent is checked first: int(Decimal("1e999999")) would take a million digits.
    if number.is_integer() and value.adjusted() < 300 and value == value.to_integral_value():
        return int(value)
    return _finite(name, number, "Decimal")


def date_text(name: str, value: date, zone: tzinfo | None = None) -> str:
    """Write a date as ``YYYY-MM-DD``."""
    text: str = to_builtins(value)
    return text


#: The conversions of values of exactly these types, not of subclasses. MoEngage accepts the results of all.
EXACT_TYPES: Mapping[type, Callable[[str, Any, tzinfo | None], Any]] = {
    float: finite_number,
    Decimal: decimal_number,
    datetime: utc_text,
    date: date_text,
}


def _real(name: str, value: Any) -> int | float | None:
    # A Fraction, or any other type registered as a real number.
    if getattr(value, "denominator", None) == 1:
        return int(value)
    try:
        number = float(value)
    except OverflowError:
        number = math.inf
    if math.isnan(number) or number == value:
        return number if math.isfinite(number) else None
    return _finite(name, number, type(value).__name__)


def _finite(name: str, number: float, kind: str) -> float:
    if not math.isfinite(number):
        raise MoEngageRecordInvalid(
            "number_range", f"attribute {name!r} has a {kind} that no JSON number can hold"
        )
    return number


def customer_id_text(value: object) -> str | None:
    """
    Write an id as the string MoEngage accepts: ``12345`` and ``12345.0`` as ``"12345"``.

    :return: None where there is no id.
    :raises MoEngageRecordInvalid: the value cannot be an id without being changed.
    """
    if type(value) is str:
        return value
    try:
        text, found = _id_text(python_value(value))
    except OWN_ERRORS:
        raise
    except Exception:
        found = False
    if found:
        return text
    raise MoEngageRecordInvalid(
        "customer_id_type",
        f"customer_id is of type {type(value).__name__} and not an exact whole number; ids are strings or whole "
        "numbers, floats below 2**53",
    )


def _id_text(value: object) -> tuple[str | None, bool]:
    """Return an id as text, None where there is none; and whether the value can be an id at all."""
    if isinstance(value, str):
        return plain_text(value), True
    if isinstance(value, UUID):
        return str(value), True
    if is_null(value):
        return None, True
    if isinstance(value, bool):
        return None, False
    if isinstance(value, Integral):
        return _digits(int(value)), True
    if isinstance(value, Decimal):
        if value.is_nan():
            return None, True
        if value.is_finite() and value.adjusted() < 300 and value == value.to_integral_value():
            return str(int(value)), True
    elif isinstance(value, Real) and not isinstance(value, InexactFloat):
        number = float(value)
        if math.isnan(number):
            return None, True
        # From 2**53 on a float also stands for neighbouring integers, which may be ids of other customers.
        if number == value and abs(number) < MAX_EXACT_FLOAT and number.is_integer():
            return str(int(number)), True
    return None, False


def _digits(number: int) -> str:
    try:
        return str(number)
    except ValueError:
        # Python refuses to write integers with thousands of digits.
        raise MoEngageRecordInvalid(
            "customer_id_length", "customer_id has thousands of digits, which MoEngage would cut"
        ) from None
