"""
Rows as JSON that gives back what a database, a file or a task handed over: a Decimal stays one, a datetime keeps its offset.

A value that JSON has no type for is written with its own, ``{"$type": "bytes", "$value": "AP8="}``. MoEngage allows no
``$`` in keys, so no record has such an object; a row that has one all the same is written in a way that tells it apart.
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

#: Halves of characters, which UTF-8 cannot carry, and what marks them.
_ESCAPED = re.compile(r"[\\\ud800-\udfff]")
_ESCAPE = re.compile(r"\\(\\|u[0-9a-f]{4})")
TYPE, VALUE = "$type", "$value"
#: More digits than a JSON number may have; other programs read no longer ones.
MAX_PLAIN_BITS = 1_024
MAX_PLAIN_DIGITS = 300
#: Deeper values are rejected whatever they hold, and parsers of JSON give up not far below.
MAX_LEVELS = 40


class Codec(NamedTuple):
    """How values of one type are written as JSON, and read."""

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


def _exact_timedelta(value: timedelta) -> int:
    return timedelta.__floordiv__(value, timedelta(microseconds=1))


#: By the name that stands for the type, the more special type first: a datetime is a date too.
CODECS: Mapping[str, Codec] = MappingProxyType(
    {
        "Decimal": Codec(Decimal, str, Decimal),
        "datetime": Codec(datetime, _written_datetime, _datetime),
        "date": Codec(date, date.isoformat, date.fromisoformat),
        "time": Codec(time, time.isoformat, time.fromisoformat),
        "timedelta": Codec(timedelta, _exact_timedelta, lambda written: timedelta(microseconds=written)),
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
    """Return any value as JSON that :func:`decoded` gives back, or as a stand-in where it has no such form."""
    return _encoded(value, exact=True, level=0)


def readable(row: object, *, exact: bool = False) -> Any:
    """
    Return a row as JSON that :func:`decoded` gives back, and that people can read and repair.

    Values are written as they are sent where that loses nothing but fractions of seconds: Decimals as numbers, UUIDs,
    dates and datetimes in UTC as texts, NaN and the infinities as null.

    :param exact: write the type of every value that is none of JSON's: for a row whose id is of a wrong type, which as a
        text would be a good one.
    """
    return _encoded(row, exact=exact, level=0)


def decoded(written: Any) -> Any:
    """Return what was written; a stand-in of class :class:`~.foreign.Unsupported` for what cannot be read back."""
    if isinstance(written, list):
        return [decoded(element) for element in written]
    if not isinstance(written, dict):
        return written
    if len(written) != 2 or TYPE not in written or VALUE not in written:
        return {key: decoded(value) for key, value in written.items()}
    try:
        return _READERS[written[TYPE]](written[VALUE])
    except Exception:
        # Somebody changed it, or another version wrote it.
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
        # Its own code raised: whoever reads it back can only name its type.
        return _stand_in(value)


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
    return _number(float(value), exact) if isinstance(value, Real) else _stand_in(value)


def _nested(value: Any, exact: bool, level: int) -> Any:
    if level > MAX_LEVELS:
        return _stand_in(value)
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
    """Return a value as it is sent, where it would be the same again; None elsewhere."""
    if isinstance(value, Decimal):
        return _plain_decimal(value)
    if isinstance(value, UUID):
        return str(value)
    if isinstance(value, datetime):
        # Another offset makes another date, and without a zone it is not known what it is.
        return utc_text("", value, None) if value.utcoffset() == timedelta(0) else None
    return date.isoformat(value) if isinstance(value, date) else None


def _plain_decimal(value: Decimal) -> int | float | None:
    if not value.is_finite() or abs(value.adjusted()) > MAX_PLAIN_DIGITS:
        return None
    number = decimal_number("", value)
    # 1.10 as a text is not 1.1.
    same = number is not None and format(value, "f") == format(Decimal(repr(number)), "f")
    return number if same else None


def _text(value: str) -> Any:
    try:
        value.encode()
    except UnicodeEncodeError:
        # Readable all the same: most of it is text, and people repair it.
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


def _stand_in(value: object) -> Any:
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
