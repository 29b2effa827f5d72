"""Values of Parquet that Python cannot hold, and types that are not what they seem."""

from __future__ import annotations

import io
from datetime import date, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from airflow_provider_moengage.delivery.read.file_formats import rows_of
from airflow_provider_moengage.delivery.shape.convert import OutOfRange

pa = pytest.importorskip("pyarrow", reason="the extra [parquet] is not installed")
parquet = pytest.importorskip("pyarrow.parquet")

from airflow_provider_moengage.delivery.read.parquet_rows import values_of  # noqa: E402

UTC = timezone.utc
BEYOND = 4_000_000  # days: the year 12921
NANOSECONDS = 1_700_000_000_123_456_789
MOMENT = datetime(2023, 11, 14, 22, 13, 20, 123_456, tzinfo=UTC)


def written(**columns: Any) -> list[object]:
    stream = io.BytesIO()
    parquet.write_table(pa.table(columns), stream)
    return list(rows_of("a.parquet", io.BytesIO(stream.getvalue())))


def column(**columns: Any) -> list[object]:
    (name,) = columns
    return [row[name] for row in written(**columns)]  # type: ignore[index]


@pytest.mark.parametrize(
    ("values", "kind", "good"),
    [
        ([0, BEYOND], pa.date32(), date(1970, 1, 1)),
        ([0, -BEYOND], pa.date32(), date(1970, 1, 1)),
        ([0, BEYOND * 86_400_000], pa.date64(), date(1970, 1, 1)),
        ([0, BEYOND * 86_400], pa.timestamp("s"), datetime(1970, 1, 1)),
        ([0, -BEYOND * 86_400_000], pa.timestamp("ms", "UTC"), datetime(1970, 1, 1, tzinfo=UTC)),
        ([0, BEYOND * 86_400_000_000], pa.timestamp("us"), datetime(1970, 1, 1)),
        ([0, 2**63 - 1], pa.timestamp("us", "Asia/Kolkata"), datetime(1970, 1, 1, tzinfo=UTC)),
        ([0, 2**63 - 1], pa.duration("s"), timedelta()),
    ],
)
def test_a_value_that_python_cannot_hold_spoils_itself(values: list[int], kind: Any, good: object):
    array = pa.array(values, pa.int32() if kind == pa.date32() else pa.int64()).view(kind)
    first, second = values_of(array)
    assert first == good
    assert isinstance(second, OutOfRange)
    assert second.kind == str(kind)
    assert second.text


def test_only_the_row_of_such_a_value_is_spoilt():
    days = pa.array([0, BEYOND, None, 1], pa.int32()).view(pa.date32())
    rows: Any = written(id=["a", "b", "c", "d"], day=days)
    assert [row["id"] for row in rows] == ["a", "b", "c", "d"]
    assert [row["day"] for row in rows[2:]] == [None, date(1970, 1, 2)]
    assert rows[1]["day"] == OutOfRange("date32[day]", "12921-08-27") or isinstance(
        rows[1]["day"], OutOfRange
    )


def test_such_values_in_lists_structs_and_maps():
    days = pa.array([0, BEYOND, 1], pa.int32()).view(pa.date32())
    lists = pa.ListArray.from_arrays([0, 1, 2, 3], days)
    good, bad, last = values_of(lists)
    assert (good, last) == ([date(1970, 1, 1)], [date(1970, 1, 2)])
    assert isinstance(bad[0], OutOfRange)
    struct = values_of(pa.StructArray.from_arrays([days, pa.array([1, 2, 3])], ["day", "n"]))
    assert struct[0] == {"day": date(1970, 1, 1), "n": 1}
    assert (type(struct[1]["day"]), struct[1]["n"]) == (OutOfRange, 2)
    maps = values_of(pa.MapArray.from_arrays([0, 1, 2, 3], pa.array(["x", "y", "z"]), days))
    assert maps[0] == {"x": date(1970, 1, 1)}
    assert isinstance(maps[1]["y"], OutOfRange)
    coded = values_of(pa.DictionaryArray.from_arrays(pa.array([0, 1, 2]), days))
    assert coded[0] == date(1970, 1, 1)
    assert isinstance(coded[1], OutOfRange)


NS = pa.timestamp("ns", "UTC")


@pytest.mark.parametrize(
    ("array", "value"),
    [
        (pa.array([NANOSECONDS], NS), MOMENT),
        (pa.array([[NANOSECONDS, None]], pa.list_(NS)), [MOMENT, None]),
        (pa.array([[NANOSECONDS]], pa.large_list(NS)), [MOMENT]),
        (pa.array([[NANOSECONDS]], pa.list_(NS, 1)), [MOMENT]),
        (pa.array([{"at": NANOSECONDS}], pa.struct([("at", NS)])), {"at": MOMENT}),
        (pa.array([[{"at": NANOSECONDS}]], pa.list_(pa.struct([("at", NS)]))), [{"at": MOMENT}]),
        (pa.array([[("a", NANOSECONDS)]], pa.map_(pa.string(), NS)), {"a": MOMENT}),
        (pa.array([NANOSECONDS], NS).dictionary_encode(), MOMENT),
        (pa.array([NANOSECONDS], pa.duration("ns")), timedelta(seconds=1_700_000_000, microseconds=123_456)),
    ],
    ids=lambda one: str(one.type) if hasattr(one, "type") else "",
)
def test_nanoseconds_are_cut_off_at_any_depth(array: Any, value: object):
    (found,) = values_of(array)
    assert found == value
    assert "pandas" not in type(found).__module__


@pytest.mark.parametrize(
    ("array", "value"),
    [
        (pa.array([[("a", 1), ("b", None)]], pa.map_(pa.string(), pa.int64())), {"a": 1, "b": None}),
        (pa.array([[("a", [("b", 1)])]], pa.map_(pa.string(), pa.map_(pa.string(), pa.int64()))), {"a": {"b": 1}}),
        (pa.array([[[("a", 1)], None]], pa.list_(pa.map_(pa.string(), pa.int64()))), [{"a": 1}, None]),
        (pa.array([{"m": [("a", 1)], "n": 2}], pa.struct([("m", pa.map_(pa.string(), pa.int64())), ("n", pa.int64())])),
         {"m": {"a": 1}, "n": 2}),
        (pa.array([None], pa.map_(pa.string(), pa.int64())), None),
        (pa.array([[]], pa.map_(pa.string(), pa.int64())), {}),
        (pa.array([[(1, 2)]], pa.map_(pa.int64(), pa.int64())), {1: 2}),
        # A key that is there twice is no object, and neither is one that is an object itself.
        (pa.array([[("a", 1), ("a", 2)]], pa.map_(pa.string(), pa.int64())), [("a", 1), ("a", 2)]),
        (pa.array([[({"k": 1}, 2)]], pa.map_(pa.struct([("k", pa.int64())]), pa.int64())), [({"k": 1}, 2)]),
    ],
    ids=lambda one: str(one.type) if hasattr(one, "type") else "",
)  # fmt: skip
def test_maps_are_objects_at_any_depth(array: Any, value: object):
    assert values_of(array) == [value]


@pytest.mark.parametrize(
    ("array", "value"),
    [
        (pa.array([Decimal("1.50")], pa.decimal256(50, 2)), Decimal("1.50")),
        (pa.array([b"\xff"], pa.binary()), b"\xff"),
        (pa.array([b"\xff"], pa.large_binary()), b"\xff"),
        (pa.array([b"\xff\xfe"], pa.binary(2)), b"\xff\xfe"),
        (pa.array(["a"], pa.large_string()), "a"),
        (pa.array(["a"], pa.string_view()), "a"),
        (pa.array([None], pa.null()), None),
        (pa.array([b"\xff\xfe"], pa.binary()).view(pa.string()), b"\xff\xfe"),
        (pa.array(["x", "x"]).dictionary_encode()[:1], "x"),
        (pa.RunEndEncodedArray.from_arrays([1], [5]), 5),
        (pa.array([UUID(int=5).bytes], pa.uuid()), UUID(int=5)),
    ],
    ids=lambda one: str(one.type) if hasattr(one, "type") else "",
)
def test_other_types_become_plain_values(array: Any, value: object):
    assert values_of(array) == [value]


def test_half_floats_times_and_intervals_do_not_end_the_run():
    assert float(values_of(pa.array([1.5], pa.float32()).cast(pa.float16()))[0]) == 1.5
    assert str(values_of(pa.array([1_000], pa.time64("ns")))[0]) == "00:00:00.000001"
    assert len(values_of(pa.array([(1, 2, 3)], pa.month_day_nano_interval()))) == 1


def test_a_zone_that_nobody_knows_is_read_as_utc():
    assert values_of(pa.array([0], pa.timestamp("ms", "Mars/Olympus"))) == [datetime(1970, 1, 1, tzinfo=UTC)]


def test_the_last_hour_of_the_last_year_is_an_instant_in_any_zone():
    last = datetime(9999, 12, 31, 23, 30, tzinfo=UTC)
    array = pa.array([0, int(last.timestamp())], pa.timestamp("s", "Asia/Kolkata"))
    assert values_of(array) == [datetime(1970, 1, 1, tzinfo=UTC), last]


def test_a_struct_with_one_name_twice_does_not_lose_a_field():
    array = pa.StructArray.from_arrays([pa.array([1]), pa.array([2])], ["a", "a"])
    assert values_of(array) == [[("a", 1), ("a", 2)]]


@settings(deadline=None)
@given(days=st.lists(st.none() | st.integers(-(2**31), 2**31 - 1), max_size=8))
def test_any_days_are_dates_or_out_of_range(days: list[int | None]):
    found = values_of(pa.array(days, pa.int32()).view(pa.date32()))
    for day, value in zip(days, found, strict=True):
        if day is None:
            assert value is None
        elif -719_162 <= day <= 2_932_896:
            assert value == date(1970, 1, 1) + timedelta(days=day)
        else:
            assert isinstance(value, OutOfRange)
