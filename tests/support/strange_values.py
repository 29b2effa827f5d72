"""Values as databases, data frames and files hand them over, and what has to become of each as an attribute."""

from __future__ import annotations

import enum
from collections import UserList
from collections.abc import Iterator, Mapping
from datetime import date, datetime, time, timedelta, timezone, tzinfo
from decimal import Decimal
from fractions import Fraction
from ipaddress import ip_address, ip_network
from typing import Any
from uuid import UUID

import numpy
import pandas
import psycopg2.extras
import pyarrow
import pytest

from airflow_provider_moengage.delivery.shape.convert import OutOfRange

REJECTED = object()
NULL = None
MOMENT = "2025-01-01T00:00:00Z"


class Plan(str, enum.Enum):
    GOLD = "gold"


class Level(enum.IntEnum):
    HIGH = 3


class Colour(enum.Enum):
    RED = "red"


class Day(date):
    """A day of a driver's own."""


class Moment(datetime):
    """A moment of a driver's own, which writes itself otherwise."""

    def isoformat(self, *args: Any) -> str:  # type: ignore[override]
        return "never"

    def __str__(self) -> str:
        return "never"


class BrokenZone(tzinfo):
    def utcoffset(self, moment: datetime | None) -> timedelta:
        raise RuntimeError("PRIVATE")


class Broken:
    """Whatever is asked of it raises."""

    def _raise(self, *args: Any) -> Any:
        raise RuntimeError("PRIVATE")

    __float__ = __int__ = __index__ = __iter__ = __len__ = __repr__ = __str__ = __eq__ = __hash__ = (
        isoformat
    ) = _raise


class BrokenFloat(float):
    __float__ = __int__ = __repr__ = Broken._raise  # type: ignore[assignment]


class BrokenList(list):  # type: ignore[type-arg]
    __iter__ = Broken._raise


class BrokenMapping(Mapping):  # type: ignore[type-arg]
    def __getitem__(self, key: Any) -> Any:
        raise RuntimeError("PRIVATE")

    def __iter__(self) -> Iterator[str]:
        yield "a"

    def __len__(self) -> int:
        return 1


def lazily() -> Iterator[int]:
    yield 1
    raise RuntimeError("PRIVATE")


NANOSECONDS = pandas.to_datetime(1735689600.123457, unit="s", utc=True)
endless: list[Any] = []
endless.append(endless)

#: What it is → the value, and what is stored of it.
VALUES: dict[str, tuple[Any, Any]] = {
    "pandas ns": (NANOSECONDS, MOMENT),
    "pandas naive": (pandas.Timestamp("2025-01-01"), REJECTED),
    "pandas zone": (pandas.Timestamp("2025-01-01 05:30", tz="Asia/Kolkata"), MOMENT),
    "pandas year 20000": (pandas.Timestamp(numpy.datetime64("20000-01-01", "s")), REJECTED),
    "pandas NaT": (pandas.NaT, NULL),
    "pandas NA": (pandas.NA, NULL),
    "pandas duration": (pandas.Timedelta(5, "ns"), REJECTED),
    "pandas period": (pandas.Period("2025-01"), REJECTED),
    "pandas interval": (pandas.Interval(0, 1), REJECTED),
    "pandas categorical": (pandas.Categorical(["a", "b"]), ["a", "b"]),
    "pandas series": (pandas.Series([1, 2]), [1, 2]),
    "pandas moments": (pandas.Series([NANOSECONDS]), [MOMENT]),
    "pandas index": (pandas.Index(["a"]), ["a"]),
    "pandas masked": (pandas.array([1, None]), REJECTED),
    "pandas frame": (pandas.DataFrame({"a": [1]}), REJECTED),
    "numpy duration": (numpy.timedelta64(5, "ns"), REJECTED),
    "numpy days": (numpy.timedelta64(5, "D"), REJECTED),
    "numpy years": (numpy.timedelta64(5, "Y"), REJECTED),
    "numpy no duration": (numpy.timedelta64("NaT"), NULL),
    "numpy day": (numpy.datetime64("2025-01-01"), "2025-01-01"),
    "numpy year": (numpy.datetime64("2025"), "2025-01-01"),
    "numpy naive": (numpy.datetime64("2025-01-01T00:00:00.123456789"), REJECTED),
    "numpy year 20000": (numpy.datetime64("20000-01-01"), REJECTED),
    "numpy second of year 20000": (numpy.datetime64("20000-01-01T00:00:00"), REJECTED),
    "numpy far year": (numpy.datetime64(2**40, "Y"), REJECTED),
    "numpy NaT": (numpy.datetime64("NaT"), NULL),
    "numpy void": (numpy.void(b"x"), REJECTED),
    "numpy record": (numpy.array([(1, 2)], dtype="i,i")[0], REJECTED),
    "numpy bytes": (numpy.bytes_(b"a"), REJECTED),
    "numpy text": (numpy.str_("a"), "a"),
    "numpy half": (numpy.float16(1.5), 1.5),
    "numpy int": (numpy.uint64(2**64 - 1), 2**64 - 1),
    "numpy bool": (numpy.bool_(True), True),
    "numpy long": (numpy.longdouble(1.5), 1.5),
    "numpy too long": (numpy.longdouble("1e400"), REJECTED),
    "numpy long nan": (numpy.longdouble("nan"), NULL),
    "numpy complex": (numpy.complex64(1j), REJECTED),
    "numpy complex128": (numpy.complex128(1), REJECTED),
    "numpy masked": (numpy.ma.masked, NULL),
    "numpy array": (numpy.array([1, 2]), [1, 2]),
    "numpy array of none": (numpy.array(5), 5),
    "numpy matrix": (numpy.array([[1], [2]]), REJECTED),
    "numpy durations": (numpy.array([1], "timedelta64[s]"), REJECTED),
    "numpy days in a list": (numpy.array(["2025-01-01"], "datetime64[D]"), ["2025-01-01"]),
    "numpy masked array": (numpy.ma.array([1, 2], mask=[0, 1]), REJECTED),
    "numpy objects": (numpy.array([{"a": 1}, {"a": None, "b": 2}]), [{"a": 1}, {"b": 2}]),
    "arrow int": (pyarrow.scalar(5), 5),
    "arrow null": (pyarrow.scalar(None), NULL),
    "arrow moment": (pyarrow.scalar(NANOSECONDS), MOMENT),
    "arrow far moment": (pyarrow.scalar(2**62, pyarrow.timestamp("s")), REJECTED),
    "arrow day": (pyarrow.scalar(20089, pyarrow.date32()), "2025-01-01"),
    "arrow far day": (pyarrow.scalar(2**30, pyarrow.date32()), REJECTED),
    "arrow duration": (pyarrow.scalar(5, pyarrow.duration("ns")), REJECTED),
    "arrow interval": (pyarrow.scalar((1, 2, 3), pyarrow.month_day_nano_interval()), REJECTED),
    "arrow interval as it is read": (
        pyarrow.scalar((1, 2, 3), pyarrow.month_day_nano_interval()).as_py(),
        REJECTED,
    ),
    "arrow struct": (pyarrow.scalar({"a": 1, "b": None}), {"a": 1}),
    "arrow map": (pyarrow.scalar([("a", 1)], pyarrow.map_(pyarrow.string(), pyarrow.int64())), {"a": 1}),
    "arrow list": (pyarrow.scalar([NANOSECONDS]), [MOMENT]),
    "arrow list of far days": (
        pyarrow.scalar([2**30], pyarrow.list_(pyarrow.int32())).cast(pyarrow.list_(pyarrow.date32()))
        if hasattr(pyarrow.Scalar, "cast")
        else pyarrow.scalar(2**30, pyarrow.date32()),
        REJECTED,
    ),
    "arrow array": (pyarrow.array(["a", "b"]), ["a", "b"]),
    "arrow chunks": (pyarrow.chunked_array([[1], [2]]), [1, 2]),
    "arrow dictionary": (pyarrow.array(["a"]).dictionary_encode()[0], "a"),
    "arrow binary": (pyarrow.scalar(b"x"), REJECTED),
    "arrow decimal": (pyarrow.scalar(Decimal("1.50")), 1.5),
    "arrow table": (pyarrow.table({"a": [1]}), REJECTED),
    "decimal sNaN": (Decimal("sNaN"), NULL),
    "decimal too large": (Decimal("1e999999"), REJECTED),
    "fraction": (Fraction(3, 2), 1.5),
    "whole fraction": (Fraction(3), 3),
    "fraction too large": (Fraction(10**400, 3), REJECTED),
    "complex": (1j, REJECTED),
    "enum of texts": (Plan.GOLD, "gold"),
    "enum of numbers": (Level.HIGH, 3),
    "enum": (Colour.RED, REJECTED),
    "bytes": (b"\x00\xff", REJECTED),
    "bytearray": (bytearray(b"x"), REJECTED),
    "memoryview": (memoryview(b"x"), REJECTED),
    "set": ({1}, REJECTED),
    "other list": (UserList([1]), REJECTED),
    "range of a database": (psycopg2.extras.NumericRange(1, 2), REJECTED),
    "address": (ip_address("10.0.0.1"), REJECTED),
    "network": (ip_network("10.0.0.0/8"), REJECTED),
    "time": (time(10), REJECTED),
    "duration": (timedelta(1), REJECTED),
    "uuid": (UUID(int=1), str(UUID(int=1))),
    "day": (Day(2025, 1, 1), "2025-01-01"),
    "moment": (Moment(2025, 1, 1, tzinfo=timezone.utc), MOMENT),
    "moment of no zone": (datetime(2025, 1, 1, tzinfo=BrokenZone()), REJECTED),
    "out of range": (OutOfRange("timestamp", "infinity"), REJECTED),
    "large int": (10**400, REJECTED),
    "broken": (Broken(), REJECTED),
    "broken float": (BrokenFloat(1.5), REJECTED),
    "broken list": (BrokenList([1]), REJECTED),
    "broken mapping": (BrokenMapping(), REJECTED),
    "generator": (lazily(), REJECTED),
    "function": (lazily, REJECTED),
    "type": (int, REJECTED),
    "endless": (endless, REJECTED),
    "half a character": ("\ud800", REJECTED),
}

every_value = pytest.mark.parametrize("what", VALUES)
