"""Converts values to the type that the parameter ``types`` declares: text, number, boolean, datetime, date or JSON."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import date, datetime, time, timedelta, timezone, tzinfo
from decimal import Decimal, InvalidOperation
from ipaddress import (
    IPv4Address,
    IPv4Interface,
    IPv4Network,
    IPv6Address,
    IPv6Interface,
    IPv6Network,
)
from types import MappingProxyType
from typing import Any, Literal, NewType

from pydantic_core import from_json

from airflow_provider_moengage.api.errors import MoEngageParameterError, MoEngageRecordInvalid
from airflow_provider_moengage.delivery.shape.convert import (
    OWN_ERRORS,
    attribute_value,
    decimal_number,
    is_null,
    json_value,
    plain_datetime,
    plain_text,
    unconvertible,
    utc_text,
)
from airflow_provider_moengage.delivery.shape.foreign import python_value
from airflow_provider_moengage.records.dates import is_documented_date
from airflow_provider_moengage.records.epoch import MAX_DIGITS, is_calendar_number, number_of, whole_seconds

#: The type of an attribute in ``types``.
AttributeType = Literal["string", "number", "boolean", "datetime", "date", "json"]
#: A type with a ``strptime`` format, such as ``DateFormat("datetime:%d/%m/%Y %H:%M")``. A plain text works as well, but a
#: type checker cannot tell it from a misspelled type.
DateFormat = NewType("DateFormat", str)
TRUE_WORDS = frozenset({"true", "t", "yes", "y", "1"})
FALSE_WORDS = frozenset({"false", "f", "no", "n", "0"})
#: Python refuses to write integers with thousands of digits, and MoEngage accepts no text of that length.
MAX_DIGIT_BITS = 4_096
#: Interfaces first: they are addresses, too.
ADDRESSES = (IPv4Interface, IPv6Interface, IPv4Address, IPv6Address, IPv4Network, IPv6Network)

Converter = Callable[[str, object, "tzinfo | None"], Any]

_NUMBER = re.compile(r"[+-]?(\d+)(\.\d*)?([eE][+-]?\d+)?|[+-]?(\.\d+)([eE][+-]?\d+)?", re.ASCII)
_ONE_OR_ZERO = re.compile(r"([01])\.0*")
_DATETIME = re.compile(
    r"(\d{4}-\d{2}-\d{2})(?:[T ](\d{2}:\d{2})(:\d{2})?(?:[.,]\d+)?)?\s*(Z|UTC|[+-]\d{2}(?::?\d{2})?)?",
    re.ASCII,
)
_DATE_FORMS = "YYYY-MM-DD, with or without HH:MM:SS and a UTC offset, or seconds or milliseconds since 1970"
#: A date in which every part is different, so that a format that confuses two parts is found.
_SAMPLE = datetime(2024, 11, 23, 20, 41, 57, tzinfo=timezone.utc)


def _not_a(kind: str, name: str, value: object, allowed: str) -> MoEngageRecordInvalid:
    return MoEngageRecordInvalid(
        f"not_a_{kind}",
        f"attribute {name!r} has a value of type {type(value).__name__} that is not a {kind}; "
        f"types says {kind}: {allowed}",
    )


def _as_string(name: str, value: object, zone: tzinfo | None) -> Any:
    if isinstance(value, str):
        return plain_text(value)
    if isinstance(value, time):
        return time.isoformat(value)
    if isinstance(value, timedelta):
        return _clock_text(value)
    if isinstance(value, ADDRESSES):
        return str(value)
    plain = json_value(name, value, zone)
    if plain is None or isinstance(plain, (str, dict)):
        return plain
    if isinstance(plain, bool):
        return "true" if plain else "false"
    # A Decimal keeps its own digits: 1.10 stays "1.10".
    return _digits_of(name, value if isinstance(value, Decimal) else plain)


def _clock_text(value: timedelta) -> str:
    """Write a duration as ``HH:MM:SS``, with more than 24 hours where needed."""
    microseconds = timedelta.__floordiv__(value, timedelta(microseconds=1))
    seconds, fraction = divmod(abs(microseconds), 1_000_000)
    sign = "-" if microseconds < 0 else ""
    clock = f"{sign}{seconds // 3600:02}:{seconds // 60 % 60:02}:{seconds % 60:02}"
    return f"{clock}.{fraction:06}" if fraction else clock


def _digits_of(name: str, number: float | Decimal) -> str:
    """Write a number's digits, never with an exponent."""
    if isinstance(number, float):
        # repr returns the shortest digits that identify this float.
        number = int(number) if number.is_integer() else Decimal(repr(number))
    if isinstance(number, Decimal):
        digits = format(number, "f")
        return digits if number or "." in digits else "0"
    if number.bit_length() > MAX_DIGIT_BITS:
        raise MoEngageRecordInvalid(
            "number_range", f"attribute {name!r} has an integer of too many digits for a text"
        )
    return str(number)


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
        return decimal_number(name, Decimal(text))
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
        if isinstance(plain, (bool, int, float)) and plain in (0, 1):
            return bool(plain)
        word = plain.lower() if isinstance(plain, str) else ""
    whole = _ONE_OR_ZERO.fullmatch(word)
    word = whole[1] if whole else word
    if word in TRUE_WORDS:
        return True
    if word in FALSE_WORDS:
        return False
    raise _not_a("boolean", name, value, "true/false, yes/no, t/f, y/n or 1/0")


def _as_datetime(name: str, value: object, zone: tzinfo | None) -> Any:
    moment = _datetime_of("datetime", name, value, zone)
    return utc_text(name, moment, zone) if isinstance(moment, datetime) else moment


def _as_date(name: str, value: object, zone: tzinfo | None) -> Any:
    moment = _datetime_of("date", name, value, zone)
    return moment.date().isoformat() if isinstance(moment, datetime) else moment


def _datetime_of(kind: str, name: str, value: object, zone: tzinfo | None) -> datetime | None:
    """Return a value as a datetime, midnight for a date; None for NULL."""
    if isinstance(value, str) and (match := _DATETIME.fullmatch(value.strip())):
        return _parsed(name, value, match)
    if is_null(value):
        return None
    if isinstance(value, datetime):
        return plain_datetime(value)
    if isinstance(value, date):
        return datetime(value.year, value.month, value.day)
    number = number_of(value)
    if number is not None:
        return _datetime_of_epoch(kind, name, value, number, zone)
    if isinstance(value, str) and value.strip():
        raise _not_a(
            "datetime", name, value, f"{_DATE_FORMS}; 'datetime:%d/%m/%Y %H:%M' converts other forms"
        )
    if isinstance(value, str) or json_value(name, value, zone) is None:
        return None
    raise _not_a(kind, name, value, _DATE_FORMS)


def _datetime_of_epoch(
    kind: str, name: str, value: object, number: float | Decimal, zone: tzinfo | None
) -> datetime:
    if is_calendar_number(number):
        raise _not_a(kind, name, value, f"{_DATE_FORMS}; 'date:%Y%m%d' converts YYYYMMDD")
    seconds = whole_seconds(number)
    try:
        if seconds is None:
            raise OverflowError
        moment = datetime(1970, 1, 1, tzinfo=timezone.utc) + timedelta(seconds=seconds)
        return moment if zone is None else moment.astimezone(zone)
    except OverflowError:
        raise _not_a(kind, name, value, f"{_DATE_FORMS}; a year from 1 to 9999") from None


def _parsed(name: str, value: str, match: re.Match[str]) -> datetime:
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
        return attribute_value(name, value, zone)
    if not value.strip():
        return None
    try:
        return attribute_value(name, from_json(value), zone)
    except (ValueError, TypeError):
        raise _not_a("json", name, value, "a JSON text") from None


def _by_format(kind: str, form: str) -> Converter:
    """Return a converter of texts in a ``strptime`` format."""
    convert = CONVERTERS[kind]

    def parsed(name: str, value: object, zone: tzinfo | None) -> Any:
        text = _text_to_parse(value)
        if text is None:
            if isinstance(value, date) or json_value(name, value, zone) is None:
                return convert(name, value, zone)
            raise _not_a(kind, name, value, f"a text in the form {form!r}")
        if not text:
            return None
        try:
            moment = datetime.strptime(text, form)
        except ValueError:
            if is_documented_date(text):
                # A datetime of the source that was written to a rejected file as it is sent.
                return convert(name, text, zone)
            raise _not_a(kind, name, value, f"a text in the form {form!r}") from None
        return convert(name, moment, zone)

    return _elementwise(parsed)


def _text_to_parse(value: object) -> str | None:
    """Return the text to parse; a whole number, such as 20251231, becomes a text."""
    if isinstance(value, str):
        return value.strip()
    number = number_of(value)
    if number is None or abs(number) >= 10**MAX_DIGITS or number != int(number):
        return None
    return str(int(number))


def _elementwise(convert: Converter) -> Converter:
    """Return a converter that also converts each element of an array."""

    def converted(name: str, value: object, zone: tzinfo | None) -> Any:
        if type(value) is not str:
            value = python_value(value)
            if isinstance(value, (list, tuple)):
                return [converted(name, element, zone) for element in value]
        return convert(name, value, zone)

    return _guarded(converted)


def _scalar(convert: Converter) -> Converter:
    return _guarded(lambda name, value, zone: convert(name, python_value(value), zone))


def _guarded(convert: Converter) -> Converter:
    def converted(name: str, value: object, zone: tzinfo | None) -> Any:
        try:
            return convert(name, value, zone)
        except OWN_ERRORS:
            raise
        except Exception as error:
            raise unconvertible(name, value, error) from None

    return converted


#: Converters by the words that ``types`` accepts.
CONVERTERS: Mapping[str, Converter] = MappingProxyType(
    {
        "string": _elementwise(_as_string),
        "number": _scalar(_as_number),
        "boolean": _scalar(_as_boolean),
        "datetime": _elementwise(_as_datetime),
        "date": _elementwise(_as_date),
        "json": _scalar(_as_json),
    }
)


def converter_of(parameter: str, kind: object) -> Converter:
    """
    Return the converter for the type of one attribute.

    :param parameter: the attribute's entry in ``types``, for the error.
    :param kind: a word of :data:`CONVERTERS`, or ``datetime:`` or ``date:`` and a ``strptime`` format.
    :raises MoEngageParameterError: it is neither, or the format has no day, month and year that can be read back.
    """
    if isinstance(kind, str) and kind in CONVERTERS:
        return CONVERTERS[kind]
    word, colon, form = kind.partition(":") if isinstance(kind, str) else ("", "", "")
    if not colon or word not in ("datetime", "date"):
        raise MoEngageParameterError(
            f"{parameter} is {kind!r}; use one of {', '.join(CONVERTERS)}, or a form such as "
            "'datetime:%d/%m/%Y %H:%M' or 'date:%d/%m/%Y'"
        )
    if "%Z" in form.replace("%%", ""):
        raise MoEngageParameterError(
            f"{parameter} is {kind!r}: %Z would be read and then ignored; use %z for an offset, or write the letters "
            "as they are and set the zone with timezone="
        )
    try:
        read = datetime.strptime(_SAMPLE.strftime(form), form)
    except (ValueError, re.error):
        read = None
    if read is None or read.date() != _SAMPLE.date():
        raise MoEngageParameterError(
            f"{parameter} is {kind!r}, which is not a strptime format with a day, a month and a year, such "
            "as 'datetime:%d/%m/%Y %H:%M'"
        )
    return _by_format(word, form)
