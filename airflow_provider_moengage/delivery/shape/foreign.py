"""
Converts values of numpy, pandas, pyarrow and polars to Python values.

None of the four is imported here: where one of their values exists, its library is imported already.
"""

from __future__ import annotations

import math
import re
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from functools import lru_cache
from types import MappingProxyType
from typing import Any

_UNIT = re.compile(r"\[(\d*)(ns|ps|fs|as)\]$")
_PER_MICROSECOND: Mapping[str, int] = MappingProxyType({"ns": 10**3, "ps": 10**6, "fs": 10**9, "as": 10**12})
_EPOCH = datetime(1970, 1, 1)


@dataclass(frozen=True)
class OutOfRange:
    """
    A value of a source that Python cannot represent: an infinite timestamp, a year before 1 or after 9999.

    :param kind: the source's type, such as ``timestamp``.
    :param text: the value as the source writes it.
    """

    kind: str
    text: str


class InexactFloat(float):
    """A float of a type with too few digits to tell it from neighbouring integers."""


class Unsupported:
    """Base class of placeholders for values without a Python type; each subclass is named after the value's type."""


@lru_cache(maxsize=1_000)
def _unsupported(name: str) -> type[Unsupported]:
    return type(name, (Unsupported,), {})


def unsupported(name: str) -> Unsupported:
    """Return a placeholder for a value of the named type; it is rejected under that name."""
    return _unsupported(name)()


def python_value(value: object) -> object:
    """
    Return a value of numpy, pandas, pyarrow or polars as a Python value, any other value unchanged.

    Fractions of a second below microseconds are dropped; an array becomes a list.

    :return: :class:`OutOfRange` or an :class:`Unsupported` where Python cannot represent the value; None for what counts
        as NULL in the library.
    :raises Exception: whatever the value's own code raises.
    """
    kind: type = type(value)
    reader = _reader_of(kind)
    return value if reader is None else reader(value)


@lru_cache(maxsize=1_000)
def _reader_of(kind: type) -> Callable[[Any], object] | None:
    if kind.__name__ == "MonthDayNano":
        # Arrow's, although its module is not: months have no fixed length, so it is not a duration.
        return _of_pyarrow
    # The base classes too: a user's class may derive from one of theirs.
    libraries = [base.__module__.partition(".")[0] for base in kind.__mro__]
    return next((_READERS[name] for name in libraries if name in _READERS), None)


def _of_numpy(value: Any) -> object:
    numpy: Any = sys.modules["numpy"]
    if value is numpy.ma.masked:
        return None
    if isinstance(value, numpy.ndarray):
        return list(value) if value.ndim else python_value(value[()])
    if isinstance(value, numpy.datetime64):
        return _of_datetime64(value)
    # Before integers: timedelta64 is a subclass of one.
    if isinstance(value, numpy.timedelta64):
        return _of_timedelta64(value)
    if isinstance(value, (numpy.float16, numpy.float32)):
        return _narrow(float(value), 2 ** (numpy.finfo(type(value)).nmant + 1))
    if isinstance(value, numpy.floating):
        number = float(value)
        # A longdouble that a double cannot represent keeps its digits.
        return number if number == value or math.isnan(number) else Decimal(str(value))
    if isinstance(value, (numpy.bool_, numpy.integer, numpy.str_, numpy.bytes_)):
        return value.item()
    return unsupported(type(value).__name__)


def _narrow(number: float, exact_below: int) -> float:
    return InexactFloat(number) if math.isfinite(number) and abs(number) >= exact_below else number


def _of_datetime64(value: Any) -> object:
    plain = value.item()
    if not isinstance(plain, int):
        return plain
    unit = _UNIT.search(value.dtype.str)
    if unit is not None:
        microseconds = plain * int(unit[1] or 1) // _PER_MICROSECOND[unit[2]]
        try:
            return _EPOCH + timedelta(microseconds=microseconds)
        except OverflowError:
            pass
    return OutOfRange("datetime64", str(value))


def _of_timedelta64(value: Any) -> object:
    plain = value.item()
    if not isinstance(plain, int):
        return plain
    unit = _UNIT.search(value.dtype.str)
    if unit is None:
        # Months and years have no fixed length, and a number without a unit is not a duration.
        return unsupported("timedelta64")
    return timedelta(microseconds=plain * int(unit[1] or 1) // _PER_MICROSECOND[unit[2]])


def _of_pandas(value: Any) -> object:
    pandas: Any = sys.modules["pandas"]
    if value is pandas.NaT or value is pandas.NA:
        return None
    if isinstance(value, pandas.Timestamp):
        try:
            return value.to_pydatetime(warn=False)
        except (ValueError, OverflowError):
            return OutOfRange("Timestamp", str(value))
    if isinstance(value, pandas.Timedelta):
        return value.to_pytimedelta()
    if isinstance(value, (pandas.Series, pandas.Index, pandas.api.extensions.ExtensionArray)):
        return list(value)
    return unsupported(type(value).__name__)


def _of_pyarrow(value: Any) -> object:
    pyarrow: Any = sys.modules["pyarrow"]
    if isinstance(value, (pyarrow.Array, pyarrow.ChunkedArray)):
        return list(value)
    if not isinstance(value, pyarrow.Scalar):
        return unsupported(type(value).__name__)
    if not value.is_valid:
        return None
    kind = value.type
    if pyarrow.types.is_map(kind):
        return dict(value.as_py())
    # Element by element, so that one that Python cannot represent does not affect the others.
    if pyarrow.types.is_struct(kind):
        return dict(value.items())
    if isinstance(value, pyarrow.ListScalar):
        return list(value)
    if pyarrow.types.is_temporal(kind):
        return _of_arrow_time(value)
    if pyarrow.types.is_float16(kind) or pyarrow.types.is_float32(kind):
        return _narrow(float(value.as_py()), 2**11 if kind.bit_width == 16 else 2**24)
    return python_value(value.as_py())


def _of_arrow_time(value: Any) -> object:
    try:
        plain = value.as_py()
    except (ValueError, OverflowError):
        # Either nanoseconds, for which Arrow needs pandas, or out of range.
        try:
            return value.cast(_in_microseconds(value.type), safe=False).as_py()
        except (ValueError, OverflowError, TypeError):
            return OutOfRange(str(value.type), str(value.value))
    return python_value(plain)


def _in_microseconds(kind: Any) -> Any:
    pyarrow: Any = sys.modules["pyarrow"]
    if getattr(kind, "unit", None) != "ns":
        raise TypeError(kind)
    if pyarrow.types.is_timestamp(kind):
        return pyarrow.timestamp("us", kind.tz)
    return pyarrow.duration("us") if pyarrow.types.is_duration(kind) else pyarrow.time64("us")


def _of_polars(value: Any) -> object:
    polars: Any = sys.modules["polars"]
    return value.to_list() if isinstance(value, polars.Series) else unsupported(type(value).__name__)


#: By the package of a value's class.
_READERS: Mapping[str, Callable[[Any], object]] = MappingProxyType(
    {"numpy": _of_numpy, "pandas": _of_pandas, "pyarrow": _of_pyarrow, "polars": _of_polars}
)
