"""
From what a database, a file or a task hands over to the JSON values MoEngage takes.

Types are kept: numbers stay numbers, datetimes become UTC in MoEngage's form; what JSON cannot hold is
refused and never turned into a text by accident.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date, datetime, timezone, tzinfo
from decimal import Decimal, InvalidOperation
from numbers import Integral, Real
from types import MappingProxyType
from typing import Any
from uuid import UUID

from pydantic_core import from_json

from airflow_provider_moengage.api.errors import MoEngageRecordInvalid

TRUE_WORDS = frozenset({"true", "t", "yes", "y", "1"})
FALSE_WORDS = frozenset({"false", "f", "no", "n", "0"})
#: Integers above this are not exact as binary floating point, so a float cannot stand for an id.
MAX_EXACT_FLOAT = 2**53
#: Python does not write integers of thousands of digits.
MAX_READABLE_BITS = 1_024


@dataclass(frozen=True)
class OutOfRange:
    """
    A value that the source holds and Python cannot: an infinite timestamp, a year before 1 or after 9999.

    :param kind: the source's type, such as ``timestamp``.
    :param text: the value as the source writes it.
    """

    kind: str
    text: str


_NUMBER = re.compile(r"[+-]?(\d+)(\.\d*)?([eE][+-]?\d+)?|[+-]?(\.\d+)([eE][+-]?\d+)?", re.ASCII)
_DATETIME = re.compile(
    r"(\d{4}-\d{2}-\d{2})(?:[T ](\d{2}:\d{2})(:\d{2})?(?:[.,]\d+)?)?\s*(Z|UTC|[+-]\d{2}(?::?\d{2})?)?",
    re.ASCII,
)


def json_value(name: str, value: object, zone: tzinfo | None) -> Any:
    """
    Convert a value by its own type.

    :param name: the attribute, for the error.
    :param zone: the zone of datetimes that carry none; None refuses them.
    :return: a JSON value; None for NULL and for what counts as NULL (NaN, NaT, infinities).
    :raises MoEngageRecordInvalid: JSON or MoEngage has no place for the value.
    """
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else None
    if value is None or type(value) in (str, int, bool):
        return value
    if isinstance(value, Decimal):
        return _decimal(name, value)
    if is_null(value):
        return None
    if isinstance(value, datetime):
        return utc_text(name, value, zone)
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, str):
        return _plain_text(value)
    if isinstance(value, UUID):
        return str(value)
    if isinstance(value, Mapping):
        return {key: json_value(f"{name}.{key}", inner, zone) for key, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [json_value(name, element, zone) for element in value]
    if isinstance(value, Integral):
        return int(value)
    if isinstance(value, Real):
        return json_value(name, float(value), zone)
    if type(value).__module__ == "numpy":
        return json_value(name, without_numpy(name, value), zone)
    if isinstance(value, OutOfRange):
        raise MoEngageRecordInvalid(
            "value_range",
            f"attribute {name!r} has a {value.kind} that is infinite or whose year is not from 1 to 9999",
        )
    raise _no_place(name, value)


def _plain_text(value: str) -> str:
    # Not str(value): an enum of texts would give its name.
    return str.__str__(value)


def without_numpy(name: str, value: Any) -> object:
    """
    Give a value of numpy's as Python's own.

    :raises MoEngageRecordInvalid: Python has no such value.
    """
    kind = type(value).__name__
    if kind == "ndarray":
        return list(value)
    if kind == "datetime64":
        plain = value.item()
        # Nanoseconds come out as a number.
        return value.astype("datetime64[us]").item() if isinstance(plain, int) else plain
    if kind in ("bool", "bool_"):
        return bool(value)
    raise _no_place(name, value)


def is_null(value: object) -> bool:
    """Whether a value that is no number counts as NULL: None, and pandas' NaT and NA."""
    return value is None or type(value).__name__ in ("NaTType", "NAType")


def utc_text(name: str, value: datetime, zone: tzinfo | None) -> str:
    """Write a datetime as ``YYYY-MM-DDTHH:mm:ssZ``, the form MoEngage recognises."""
    if value.tzinfo is None or value.utcoffset() is None:
        if zone is None:
            raise MoEngageRecordInvalid(
                "naive_datetime",
                f"attribute {name!r} has a datetime without a time zone; say which with timezone='UTC' or another",
            )
        value = value.replace(tzinfo=zone)
    try:
        value = value.astimezone(timezone.utc)
    except OverflowError:
        raise MoEngageRecordInvalid(
            "datetime_range", f"attribute {name!r} has a datetime out of range"
        ) from None
    return value.replace(tzinfo=None, microsecond=0).isoformat() + "Z"


def _decimal(name: str, value: Decimal) -> int | float | None:
    if not value.is_finite():
        return None
    # The exponent is looked at first: int(Decimal("1e999999")) would take a million digits.
    if value.adjusted() < 300 and value == value.to_integral_value():
        return int(value)
    number = float(value)
    if not math.isfinite(number):
        raise MoEngageRecordInvalid(
            "number_range", f"attribute {name!r} has a Decimal that no JSON number can hold"
        )
    return number


def _no_place(name: str, value: object) -> MoEngageRecordInvalid:
    return MoEngageRecordInvalid(
        "value_type",
        f"attribute {name!r} has a value of type {type(value).__name__}; MoEngage takes strings, numbers, booleans, "
        "datetimes, arrays of one of these, and objects",
    )


def _not_a(kind: str, name: str, value: object, allowed: str) -> MoEngageRecordInvalid:
    return MoEngageRecordInvalid(
        f"not_a_{kind}",
        f"attribute {name!r} has a value of type {type(value).__name__} that is no {kind}; "
        f"types says {kind}: {allowed}",
    )


def _as_string(name: str, value: object, zone: tzinfo | None) -> Any:
    plain = json_value(name, value, zone)
    if plain is None or isinstance(plain, (str, list, dict)):
        return plain
    if isinstance(plain, bool):
        return "true" if plain else "false"
    # A Decimal keeps its own digits: 1.10 stays "1.10".
    return format(value, "f") if isinstance(value, Decimal) else str(plain)


def _as_number(name: str, value: object, zone: tzinfo | None) -> Any:
    if not isinstance(value, str):
        plain = json_value(name, value, zone)
        if plain is None or (isinstance(plain, (int, float)) and not isinstance(plain, bool)):
            return plain
        raise _not_a("number", name, value, "digits with a decimal point")
    text = value.strip()
    if not text or text.lower().lstrip("+-") in ("nan", "inf", "infinity"):
        return None
    if not _NUMBER.fullmatch(text):
        raise _not_a("number", name, value, "digits with a decimal point")
    if text.lstrip("+-").isdecimal() and len(text) < 300:
        return int(text)
    try:
        return _decimal(name, Decimal(text))
    except InvalidOperation:
        raise MoEngageRecordInvalid("number_range", f"attribute {name!r} has a number out of range") from None


def _as_boolean(name: str, value: object, zone: tzinfo | None) -> Any:
    if isinstance(value, str):
        word = value.strip().lower()
        if not word:
            return None
    else:
        plain = json_value(name, value, zone)
        if plain is None:
            return None
        word = str(plain).lower()
    if word in TRUE_WORDS:
        return True
    if word in FALSE_WORDS:
        return False
    raise _not_a("boolean", name, value, "true/false, yes/no, t/f, y/n or 1/0")


def _as_datetime(name: str, value: object, zone: tzinfo | None) -> Any:
    if isinstance(value, str):
        parsed = _parse_datetime(name, value)
        return None if parsed is None else utc_text(name, parsed, zone)
    if isinstance(value, date) and not isinstance(value, datetime):
        return utc_text(name, datetime(value.year, value.month, value.day), zone)
    return _only_dates("datetime", name, value, zone)


def _as_date(name: str, value: object, zone: tzinfo | None) -> Any:
    if isinstance(value, str):
        parsed = _parse_datetime(name, value)
        return None if parsed is None else parsed.date().isoformat()
    if isinstance(value, datetime) and not is_null(value):
        return value.date().isoformat()
    return _only_dates("date", name, value, zone)


def _only_dates(kind: str, name: str, value: object, zone: tzinfo | None) -> Any:
    if isinstance(value, date):
        return json_value(name, value, zone)
    if json_value(name, value, zone) is None:
        return None
    raise _not_a(kind, name, value, _DATE_FORMS)


_DATE_FORMS = "YYYY-MM-DD, with or without HH:MM:SS and a UTC offset"


def _parse_datetime(name: str, value: str) -> datetime | None:
    text = value.strip()
    if not text:
        return None
    match = _DATETIME.fullmatch(text)
    if match is None:
        raise _not_a("datetime", name, value, _DATE_FORMS)
    day, minutes, seconds, offset = match.groups()
    if offset in ("Z", "UTC"):
        offset = "+00:00"
    elif offset:
        offset = f"{offset[:3]}:{offset[3:].lstrip(':') or '00'}"
    try:
        return datetime.fromisoformat(f"{day}T{minutes or '00:00'}{seconds or ':00'}{offset or ''}")
    except ValueError:
        raise _not_a("datetime", name, value, f"{_DATE_FORMS}; a day and a time that exist") from None


def _as_json(name: str, value: object, zone: tzinfo | None) -> Any:
    if not isinstance(value, str):
        return json_value(name, value, zone)
    if not value.strip():
        return None
    try:
        return json_value(name, from_json(value), zone)
    except (ValueError, TypeError):
        raise _not_a("json", name, value, "a JSON text") from None


#: How a value becomes what ``types`` says, by the words that ``types`` takes.
CONVERTERS: Mapping[str, Callable[[str, object, tzinfo | None], Any]] = MappingProxyType(
    {
        "string": _as_string,
        "number": _as_number,
        "boolean": _as_boolean,
        "datetime": _as_datetime,
        "date": _as_date,
        "json": _as_json,
    }
)


def customer_id_text(value: object) -> str | None:
    """
    Write an id as the string MoEngage takes: ``12345`` and ``12345.0`` as ``"12345"``.

    :return: None where there is no id.
    :raises MoEngageRecordInvalid: the value cannot be an id without being changed.
    """
    if type(value) is str:
        return value
    if isinstance(value, str):
        return _plain_text(value)
    if isinstance(value, UUID):
        return str(value)
    if is_null(value) or (isinstance(value, float) and math.isnan(value)):
        return None
    if isinstance(value, bool):
        pass
    elif isinstance(value, Integral):
        return _digits(int(value))
    elif isinstance(value, Decimal):
        if value.is_finite() and value.adjusted() < 300 and value == value.to_integral_value():
            return str(int(value))
    elif isinstance(value, Real) and abs(number := float(value)) <= MAX_EXACT_FLOAT and number.is_integer():
        return str(int(number))
    raise MoEngageRecordInvalid(
        "customer_id_type",
        f"customer_id is of type {type(value).__name__} and no whole number; ids are strings or whole numbers",
    )


def _digits(number: int) -> str:
    try:
        return str(number)
    except ValueError:
        # Python does not write integers of thousands of digits.
        raise MoEngageRecordInvalid(
            "customer_id_length", "customer_id has thousands of digits, which MoEngage would cut"
        ) from None


def readable(value: object, zone: tzinfo | None = None) -> Any:
    """
    Give any value a JSON form for a file of refused rows: as it would be sent where it could be, a naive
    datetime as ISO text, and what JSON cannot hold as its type's name.
    """
    if isinstance(value, Mapping):
        return {str(key): readable(inner, zone) for key, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [readable(element, zone) for element in value]
    if isinstance(value, int) and value.bit_length() > MAX_READABLE_BITS:
        return type(value).__name__
    try:
        return json_value("", value, zone)
    except MoEngageRecordInvalid:
        return value.isoformat() if isinstance(value, datetime) else type(value).__name__
