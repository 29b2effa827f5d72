"""
Serializes rows as JSON without loss of types: a Decimal stays a Decimal, a datetime keeps its offset.

A value without a JSON type is written with its type, ``{"$type": "bytes", "$value": "AP8="}``. MoEngage does not allow
``$`` in keys, so no valid record has such an object; a row that has one nevertheless is escaped.
"""

from __future__ import annotations

import math
import re
from base64 import b64decode, b64encode
from collections.abc import Callable, Mapping
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from fractions import Fraction
from numbers import Integral, Real
from types import MappingProxyType
from typing import Any, NamedTuple
from uuid import UUID

from airflow_provider_moengage.delivery.shape.convert import (
    decimal_number,
    is_null,
    plain_datetime,
    plain_text,
    utc_text,
)
from airflow_provider_moengage.delivery.shape.foreign import (
    InexactFloat,
    OutOfRange,
    python_value,
    unsupported,
)
from airflow_provider_moengage.delivery.shape.typed_text import ADDRESSES

#: Lone surrogates, which UTF-8 cannot encode, and the character that escapes them.
_ESCAPED = re.compile(r"[\\\ud800-\udfff]")
_ESCAPE = re.compile(r"\\(\\|u[0-9a-f]{4})")
TYPE, VALUE = "$type", "$value"
#: Maximum size of a plain JSON number; other programs cannot read larger ones.
MAX_PLAIN_BITS = 1_024
MAX_PLAIN_DIGITS = 300
#: Deeper values are rejected anyway, and JSON parsers give up at little more.
MAX_LEVELS = 40


class Codec(NamedTuple):
    """How values of one type are written to JSON and read from it."""

    kind: type
    write: Callable[[Any], Any]
    read: Callable[[Any], Any]


def _base64(value: bytes | bytearray | memoryview) -> str:
    return b64encode(value).decode("ascii")


def _bytes(text: str) -> bytes:
    return b64decode(text, validate=True)


def _written_datetime(value: datetime) -> Any:
    value = plain_datetime(value)
    return [value.isoformat(), value.fold] if value.fold else value.isoformat()


def _datetime(written: Any) -> datetime:
    if isinstance(written, str):
        return datetime.fromisoformat(written)
    text, fold = written
    return datetime.fromisoformat(text).replace(fold=fold)


def _microseconds(value: timedelta) -> int:
    return timedelta.__floordiv__(value, timedelta(microseconds=1))


#: By type name; subclasses first: a datetime is a date, too.
CODECS: Mapping[str, Codec] = MappingProxyType(
    {
        "Decimal": Codec(Decimal, str, Decimal),
        "datetime": Codec(datetime, _written_datetime, _datetime),
        "date": Codec(date, date.isoformat, date.fromisoformat),
        "time": Codec(time, time.isoformat, time.fromisoformat),
        "timedelta": Codec(timedelta, _microseconds, lambda written: timedelta(microseconds=written)),
        "UUID": Codec(UUID, str, UUID),
        "bytes": Codec(bytes, _base64, _bytes),
        "bytearray": Codec(bytearray, _base64, lambda text: bytearray(_bytes(text))),
        "memoryview": Codec(memoryview, _base64, lambda text: memoryview(_bytes(text))),
        "Fraction": Codec(Fraction, str, Fraction),
        "OutOfRange": Codec(
            OutOfRange, lambda value: [value.kind, value.text], lambda written: OutOfRange(*written)
        ),
        "InexactFloat": Codec(InexactFloat, float, InexactFloat),
        **{kind.__name__: Codec(kind, str, kind) for kind in ADDRESSES},
    }
)


_NAMES: Mapping[type, str] = MappingProxyType({codec.kind: name for name, codec in CODECS.items()})


def encoded(value: object) -> Any:
    """Return a value as JSON that :func:`decoded` reads back; a placeholder if its type is not supported."""
    return _encoded(value, exact=True, level=0)


def readable(row: object, *, exact: bool = False) -> Any:
    """
    Return a row as JSON that :func:`decoded` reads back, and that people can read and repair.

    Values are written as they are sent where that loses nothing but fractions of seconds: Decimals as numbers, UUIDs,
    dates and datetimes in UTC as texts, NaN and the infinities as null.

    :param exact: write the type of every value without a JSON type: for a row whose id has the wrong type, and would be
        valid as a text.
    """
    return _encoded(row, exact=exact, level=0)


def decoded(written: Any) -> Any:
    """Return the value that was written; a :class:`~.foreign.Unsupported` if it cannot be read back."""
    if isinstance(written, list):
        return [decoded(element) for element in written]
    if not isinstance(written, dict):
        return written
    if len(written) != 2 or TYPE not in written or VALUE not in written:
        return {key: decoded(value) for key, value in written.items()}
    try:
        return _READERS[written[TYPE]](written[VALUE])
    except Exception:
        # Edited by hand, or written by another version.
        return unsupported("unreadable")


def _encoded(value: object, *, exact: bool, level: int) -> Any:
    if value is None or type(value) is bool:
        return value
    try:
        name = _NAMES.get(type(value)) if exact else None
        if name is not None:
            return _tagged(name, CODECS[name].write(value))
        return _of_python(python_value(value), exact, level)
    except Exception:
        # The value's own code raised: keep only the name of its type.
        return _placeholder(value)


def _of_python(value: Any, exact: bool, level: int) -> Any:
    if is_null(value) or isinstance(value, bool):
        return None if is_null(value) else value
    if isinstance(value, str):
        return _text(plain_text(value))
    if isinstance(value, int):
        return _integer(int(value))
    if isinstance(value, float) and not isinstance(value, InexactFloat):
        return _number(float(value), exact)
    if isinstance(value, (Mapping, list, tuple)):
        return _nested(value, exact, level + 1)
    sent = None if exact else _as_sent(value)
    if sent is not None:
        return sent
    for name, codec in CODECS.items():
        if isinstance(value, codec.kind):
            return _tagged(name, codec.write(value))
    if isinstance(value, Integral):
        return _integer(int(value))
    return _number(float(value), exact) if isinstance(value, Real) else _placeholder(value)


def _nested(value: Any, exact: bool, level: int) -> Any:
    if level > MAX_LEVELS:
        return _placeholder(value)
    if not isinstance(value, Mapping):
        return [_encoded(element, exact=exact, level=level) for element in value]
    pairs = [
        (_encoded(key, exact=True, level=level), _encoded(inner, exact=exact, level=level))
        for key, inner in value.items()
    ]
    names = {key for key, _ in pairs if isinstance(key, str)}
    if len(names) == len(pairs) and names != {TYPE, VALUE}:
        return dict(pairs)
    return _tagged("dict", [[key, inner] for key, inner in pairs])


def _as_sent(value: Any) -> Any:
    """Return a value as it is sent, if it can be read back as the same value; None otherwise."""
    if isinstance(value, Decimal):
        return _plain_decimal(value)
    if isinstance(value, UUID):
        return str(value)
    if isinstance(value, datetime):
        # With another offset the date may differ, and a naive datetime is ambiguous.
        return utc_text("", value, None) if value.utcoffset() == timedelta(0) else None
    return date.isoformat(value) if isinstance(value, date) else None


def _plain_decimal(value: Decimal) -> int | float | None:
    if not value.is_finite() or abs(value.adjusted()) > MAX_PLAIN_DIGITS:
        return None
    number = decimal_number("", value)
    # 1.10 and 1.1 differ as texts.
    same = number is not None and format(value, "f") == format(Decimal(repr(number)), "f")
    return number if same else None


def _text(value: str) -> Any:
    try:
        value.encode()
    except UnicodeEncodeError:
        # Escaped rather than encoded: people read and repair it.
        return _tagged("str", _ESCAPED.sub(_escape, value))
    return value


def _escape(found: re.Match[str]) -> str:
    return "\\\\" if found[0] == "\\" else f"\\u{ord(found[0]):04x}"


def _unescape(found: re.Match[str]) -> str:
    return "\\" if found[1] == "\\" else chr(int(found[1][1:], 16))


def _integer(value: int) -> Any:
    return value if value.bit_length() <= MAX_PLAIN_BITS else _tagged("int", hex(value))


def _number(value: float, exact: bool) -> Any:
    if math.isfinite(value):
        return value
    return _tagged("float", repr(value)) if exact else None


def _placeholder(value: object) -> Any:
    return _tagged("unsupported", type(value).__name__)


def _tagged(name: str, written: Any) -> dict[str, Any]:
    return {TYPE: name, VALUE: written}


_READERS: Mapping[str, Callable[[Any], Any]] = MappingProxyType(
    {
        **{name: codec.read for name, codec in CODECS.items()},
        "dict": lambda written: {decoded(key): decoded(inner) for key, inner in written},
        "str": lambda written: _ESCAPE.sub(_unescape, written),
        "int": lambda written: int(written, 16),
        "float": float,
        "unsupported": unsupported,
    }
)
