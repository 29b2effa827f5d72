"""What a database hands over comes back from its line as what it was."""

from __future__ import annotations

import enum
import math
from datetime import date, datetime, time, timedelta, timezone
from decimal import Decimal
from fractions import Fraction
from ipaddress import ip_address, ip_interface
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_moengage.delivery.read.staged_values import line_of_row, row_of_line
from airflow_provider_moengage.delivery.shape.convert import OutOfRange
from airflow_provider_moengage.delivery.shape.row_codec import readable

plain = st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.text() | st.floats(allow_nan=False)
zones = st.none() | st.integers(-840, 840).map(lambda minutes: timezone(timedelta(minutes=minutes)))
typed = (
    st.decimals(allow_nan=False)
    | st.dates()
    | st.uuids()
    | st.builds(lambda moment, zone: moment.replace(tzinfo=zone, fold=0), st.datetimes(), zones)
)
values = st.recursive(
    plain | typed, lambda inner: st.lists(inner) | st.dictionaries(st.text() | st.integers(), inner)
)


@given(st.lists(values))
def test_rows_come_back_as_they_were(row: list[Any]):
    line = line_of_row(row)
    assert line.count(b"\n") == 1
    back = row_of_line(line)
    assert back == row
    assert repr(back) == repr([_plain_zone(value) for value in row])


def _plain_zone(value: Any) -> Any:
    if isinstance(value, datetime) and value.tzinfo is not None:
        return datetime.fromisoformat(value.isoformat())
    if isinstance(value, list):
        return [_plain_zone(element) for element in value]
    if isinstance(value, dict):
        return {key: _plain_zone(inner) for key, inner in value.items()}
    return value


def test_what_json_has_no_number_for_comes_back():
    nan, inf, decimal = row_of_line(line_of_row([math.nan, -math.inf, Decimal("NaN")]))
    assert math.isnan(nan)
    assert inf == -math.inf
    assert decimal.is_nan()


class Colour(str, enum.Enum):
    RED = "red"


@pytest.mark.parametrize(
    "value",
    [
        b"\x00", bytearray(b"x"), time(10), timedelta(1), ip_address("::1"), ip_interface("10.0.0.1/8"), Fraction(1, 3),
        OutOfRange("timestamp", "infinity"), Decimal("1.50"), Decimal("sNaN"),
    ],
)  # fmt: skip
def test_what_is_no_json_keeps_type_and_value(value: object):
    (back,) = row_of_line(line_of_row([value]))
    assert type(back) is type(value)
    assert repr(back) == repr(value)


@pytest.mark.parametrize("value", [b"\x00", memoryview(b"x"), time(10), timedelta(1), {1, 2}, object()])
def test_what_is_refused_keeps_the_name_of_its_type_and_nothing_else(value: object):
    (back,) = row_of_line(line_of_row([value]))
    assert type(back).__name__ == type(value).__name__
    assert readable(back) == readable(value)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (Colour.RED, "red"),
        (("a", Decimal("1")), ["a", Decimal("1")]),
        (UUID(int=7), UUID(int=7)),
        (date(2026, 1, 31), date(2026, 1, 31)),
        ("half \ud800", "half \ud800"),
    ],
)
def test_kinds_of_plain_values_become_plain(value: object, expected: object):
    assert row_of_line(line_of_row([value])) == [expected]


def test_numpy_and_pandas_values_become_python_s_own():
    numpy = pytest.importorskip("numpy", reason="Airflow does not bring numpy")
    row = [
        numpy.int64(7),
        numpy.float64(0.5),
        numpy.bool_(True),
        numpy.array([1, 2]),
        numpy.datetime64("2026-01-31"),
    ]
    assert row_of_line(line_of_row(row)) == [7, 0.5, True, [1, 2], date(2026, 1, 31)]


def test_a_value_nested_without_end_is_its_type_s_name():
    endless: list[Any] = []
    endless.append(endless)
    (back,) = row_of_line(line_of_row([endless]))
    assert type(back).__name__ == "list"
