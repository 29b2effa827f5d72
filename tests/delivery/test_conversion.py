from __future__ import annotations

import json
import math
from datetime import date, datetime, time, timedelta, timezone
from decimal import Decimal
from ipaddress import ip_address
from uuid import UUID
from zoneinfo import ZoneInfo

import numpy
import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_moengage.api.errors import MoEngageRecordInvalid
from airflow_provider_moengage.delivery.conversion import CONVERTERS, customer_id_text, json_value, readable

KOLKATA = ZoneInfo("Asia/Kolkata")


class Text(str):
    """A text of a driver's own."""


class NaTType(datetime):
    """As pandas has it: a datetime that is none."""


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (None, None),
        ("text", "text"),
        (Text("text"), "text"),
        (True, True),
        (7, 7),
        (1.5, 1.5),
        (float("nan"), None),
        (float("inf"), None),
        (float("-inf"), None),
        (Decimal("1.10"), 1.1),
        (Decimal("3"), 3),
        (Decimal("3.00"), 3),
        (Decimal("1E+2"), 100),
        (Decimal("NaN"), None),
        (Decimal("sNaN"), None),
        (Decimal("-Infinity"), None),
        (date(2024, 2, 29), "2024-02-29"),
        (datetime(2024, 1, 1, 10, tzinfo=KOLKATA), "2024-01-01T04:30:00Z"),
        (datetime(2024, 1, 1, 10, 0, 0, 999_999, tzinfo=timezone.utc), "2024-01-01T10:00:00Z"),
        (datetime(24, 1, 1, tzinfo=timezone.utc), "0024-01-01T00:00:00Z"),
        (NaTType(2024, 1, 1), None),
        (UUID(int=1), "00000000-0000-0000-0000-000000000001"),
        ([Decimal("1.5"), 2], [1.5, 2]),
        (("a", "b"), ["a", "b"]),
        ({"a": date(2024, 1, 1)}, {"a": "2024-01-01"}),
        (numpy.int64(4), 4),
        (numpy.float32(0.5), 0.5),
        (numpy.float64("nan"), None),
        (numpy.bool_(True), True),
        (numpy.array([1, 2]), [1, 2]),
        (numpy.datetime64("NaT"), None),
    ],
)
def test_types_are_kept(value, expected):
    converted = json_value("attribute", value, None)
    assert converted == expected
    assert type(converted) is type(expected)


@pytest.mark.parametrize(
    "value",
    [b"x", bytearray(b"x"), memoryview(b"x"), time(10), timedelta(1), {1}, ip_address("::1"), object(), 1j],
)
def test_what_json_cannot_hold_is_refused_by_its_type(value):
    with pytest.raises(MoEngageRecordInvalid, match=type(value).__name__) as caught:
        json_value("attribute", value, None)
    assert caught.value.code == "value_type"


def test_a_naive_datetime_needs_a_time_zone():
    with pytest.raises(MoEngageRecordInvalid, match="timezone='UTC'") as caught:
        json_value("seen", datetime(2024, 1, 1), None)
    assert caught.value.code == "naive_datetime"
    assert json_value("seen", datetime(2024, 1, 1), KOLKATA) == "2023-12-31T18:30:00Z"


def test_a_number_or_a_time_out_of_range_is_refused():
    for value in (
        Decimal("1E+400"),
        datetime.min.replace(tzinfo=KOLKATA),
        datetime.max.replace(tzinfo=timezone(-timedelta(hours=1))),
    ):
        with pytest.raises(MoEngageRecordInvalid):
            json_value("attribute", value, None)


@pytest.mark.parametrize(
    ("kind", "value", "expected"),
    [
        ("string", "2024-01-01 offer", "2024-01-01 offer"),
        ("string", 5, "5"),
        ("string", Decimal("1.10"), "1.10"),
        ("string", True, "true"),
        ("string", date(2024, 1, 1), "2024-01-01"),
        ("string", None, None),
        ("number", "12", 12),
        ("number", " -1.50 ", -1.5),
        ("number", ".5", 0.5),
        ("number", "1e3", 1000),
        ("number", "12345678901234567890", 12345678901234567890),
        ("number", "", None),
        ("number", "NaN", None),
        ("number", "-inf", None),
        ("number", Decimal("2.5"), 2.5),
        ("boolean", "TRUE", True),
        ("boolean", "no", False),
        ("boolean", 1, True),
        ("boolean", 0, False),
        ("boolean", False, False),
        ("boolean", " ", None),
        ("boolean", None, None),
        ("datetime", "2024-01-01T10:00:00Z", "2024-01-01T10:00:00Z"),
        ("datetime", "2024-01-01 10:00:00+05:30", "2024-01-01T04:30:00Z"),
        ("datetime", "2024-01-01 10:00:00.123456+00", "2024-01-01T10:00:00Z"),
        ("datetime", "2024-01-01T10:00:00.1Z", "2024-01-01T10:00:00Z"),
        ("datetime", "2024-01-01 10:00 UTC", "2024-01-01T10:00:00Z"),
        ("datetime", "2024-01-01 10:00:00-0130", "2024-01-01T11:30:00Z"),
        ("datetime", "2024-01-01 10:00:00", "2024-01-01T04:30:00Z"),
        ("datetime", "2024-01-01", "2023-12-31T18:30:00Z"),
        ("datetime", date(2024, 1, 1), "2023-12-31T18:30:00Z"),
        ("datetime", "", None),
        ("datetime", None, None),
        ("date", "2024-02-29", "2024-02-29"),
        ("date", "2024-02-29T23:00:00Z", "2024-02-29"),
        ("date", datetime(2024, 2, 29, 23), "2024-02-29"),
        ("date", date(2024, 2, 29), "2024-02-29"),
        ("date", None, None),
        ("json", '{"a": [1, null]}', {"a": [1, None]}),
        ("json", "[1, 2]", [1, 2]),
        ("json", '"text"', "text"),
        ("json", " ", None),
        ("json", [1], [1]),
    ],
)
def test_a_text_becomes_what_types_says(kind, value, expected):
    converted = CONVERTERS[kind]("attribute", value, KOLKATA)
    assert converted == expected
    assert type(converted) is type(expected)


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        ("number", "1_000"),
        ("number", "1,5"),
        ("number", "12 EUR"),
        ("number", "٣"),
        ("number", True),
        ("number", [1]),
        ("boolean", "maybe"),
        ("boolean", 2),
        ("boolean", [True]),
        ("datetime", "01/02/2024"),
        ("datetime", "2024-02-30"),
        ("datetime", "2024-01-01 25:00:00"),
        ("datetime", "2024-01-01T10:00:00+99:00"),
        ("datetime", "soon"),
        ("datetime", 1_700_000_000),
        ("date", "29.02.2024"),
        ("date", 20240229),
        ("json", "{a: 1}"),
    ],
)
def test_a_text_that_is_not_what_types_says_is_refused_and_not_guessed(kind, value):
    with pytest.raises(
        MoEngageRecordInvalid,
        match=f"types says {'datetime' if kind == 'date' and isinstance(value, str) else kind}",
    ):
        CONVERTERS[kind]("attribute", value, KOLKATA)


def test_a_text_without_a_zone_is_refused_without_timezone():
    with pytest.raises(MoEngageRecordInvalid, match="timezone="):
        CONVERTERS["datetime"]("attribute", "2024-01-01 10:00:00", None)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("1_000", "1_000"),
        (" a ", " a "),
        (12345, "12345"),
        (12345.0, "12345"),
        (Decimal("12345"), "12345"),
        (Decimal("12345.00"), "12345"),
        (UUID(int=1), "00000000-0000-0000-0000-000000000001"),
        (numpy.int64(7), "7"),
        (None, None),
        (float("nan"), None),
    ],
)
def test_an_id_is_always_a_string(value, expected):
    assert customer_id_text(value) == expected


@pytest.mark.parametrize(
    "value", [1.25, Decimal("1.5"), True, b"x", 2.0**60, math.inf, date(2024, 1, 1), ["a"], {}]
)
def test_an_id_that_would_have_to_be_changed_is_refused(value):
    with pytest.raises(MoEngageRecordInvalid, match="customer_id is of type"):
        customer_id_text(value)


anything = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.decimals()
    | st.text()
    | st.binary()
    | st.dates()
    | st.times()
    | st.datetimes(timezones=st.none() | st.timezones())
    | st.timedeltas()
    | st.uuids(),
    lambda inner: (
        st.lists(inner, max_size=5) | st.tuples(inner) | st.dictionaries(st.text(), inner, max_size=3)
    ),
    max_leaves=10,
)


@given(anything, st.sampled_from([None, timezone.utc, KOLKATA]))
def test_whatever_a_database_returns_becomes_json_or_a_refusal(value, zone):
    for convert in (json_value, *CONVERTERS.values()):
        try:
            converted = convert("attribute", value, zone)
        except MoEngageRecordInvalid:
            continue
        json.dumps(converted, allow_nan=False)


@given(anything)
def test_a_refused_row_can_always_be_written(value):
    json.dumps(readable({"column": value}), allow_nan=False)


@given(st.datetimes(timezones=st.timezones()))
def test_an_aware_datetime_keeps_its_moment_to_the_second(value):
    try:
        text = json_value("attribute", value, None)
    except MoEngageRecordInvalid:
        return
    parsed = datetime.fromisoformat(text.replace("Z", "+00:00"))
    assert parsed == value.astimezone(timezone.utc).replace(microsecond=0)
