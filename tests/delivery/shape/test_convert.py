from __future__ import annotations

import json
import math
from datetime import date, datetime, time, timedelta, timezone
from decimal import Decimal
from fractions import Fraction
from ipaddress import ip_address, ip_interface, ip_network
from uuid import UUID
from zoneinfo import ZoneInfo

import numpy
import pandas
import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_moengage.api.errors import MoEngageParameterError, MoEngageRecordInvalid
from airflow_provider_moengage.delivery.shape.convert import (
    OutOfRange,
    attribute_value,
    customer_id_text,
    json_value,
)
from airflow_provider_moengage.delivery.shape.row_codec import readable
from airflow_provider_moengage.delivery.shape.typed_text import CONVERTERS, converter_of

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
        ("string", 919876543210.0, "919876543210"),
        ("string", 1e16, "10000000000000000"),
        ("string", 1e22, "10000000000000000000000"),
        ("string", 2.0**60, str(2**60)),
        ("string", 1.5, "1.5"),
        ("string", 1e-7, "0.0000001"),
        ("string", -0.0, "0"),
        ("string", 0.1, "0.1"),
        ("string", Decimal("1E+16"), "10000000000000000"),
        ("string", Decimal("0E+3"), "0"),
        ("string", Decimal("0.00"), "0.00"),
        ("string", numpy.float64(5.0), "5"),
        ("string", numpy.int64(5), "5"),
        ("string", time(9, 5), "09:05:00"),
        ("string", time(9, 5, 1, 500), "09:05:01.000500"),
        ("string", timedelta(hours=10), "10:00:00"),
        ("string", timedelta(days=1, seconds=1, microseconds=5), "24:00:01.000005"),
        ("string", -timedelta(minutes=90), "-01:30:00"),
        ("string", numpy.timedelta64(90, "m"), "01:30:00"),
        ("string", pandas.Timedelta("90min"), "01:30:00"),
        ("string", ip_address("10.0.0.1"), "10.0.0.1"),
        ("string", ip_network("10.0.0.0/8"), "10.0.0.0/8"),
        ("string", ip_interface("10.0.0.1/8"), "10.0.0.1/8"),
        ("string", UUID(int=1), "00000000-0000-0000-0000-000000000001"),
        ("string", [919876543210.0, 1, True, time(9), "x"], ["919876543210", "1", "true", "09:00:00", "x"]),
        ("string", (1.0,), ["1"]),
        ("string", numpy.array([1.0, 2.0]), ["1", "2"]),
        ("string", "2024-01-01T10:00:00.000+05:30", "2024-01-01T10:00:00.000+05:30"),
        ("string", {"at": "2024-01-01T10:00:00.000Z"}, {"at": "2024-01-01T10:00:00.000Z"}),
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
        ("boolean", 1.0, True),
        ("boolean", 0.0, False),
        ("boolean", "1.0", True),
        ("boolean", " 0.00 ", False),
        ("boolean", Decimal("1.0"), True),
        ("boolean", numpy.float32(0), False),
        ("datetime", 1_700_000_000, "2023-11-14T22:13:20Z"),
        ("datetime", 1_700_000_000.9, "2023-11-14T22:13:20Z"),
        ("datetime", Decimal("1700000000123"), "2023-11-14T22:13:20Z"),
        ("datetime", "1700000000", "2023-11-14T22:13:20Z"),
        ("datetime", "1700000000123456", "2023-11-14T22:13:20Z"),
        ("datetime", numpy.int64(1_700_000_000_123_456_789), "2023-11-14T22:13:20Z"),
        ("datetime", -86_400, "1969-12-31T00:00:00Z"),
        ("datetime", 0, "1970-01-01T00:00:00Z"),
        ("datetime", float("nan"), None),
        ("datetime", [1_700_000_000, "2024-01-01"], ["2023-11-14T22:13:20Z", "2023-12-31T18:30:00Z"]),
        ("date", 1_700_000_000, "2023-11-15"),
        ("date", "1700000000000", "2023-11-15"),
        ("date", [date(2024, 1, 1)], ["2024-01-01"]),
        ("json", '{"at": ["2024-01-01T10:00:00.5+05:30"]}', {"at": ["2024-01-01T04:30:00Z"]}),
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
        ("boolean", 1.5),
        ("boolean", "2.0"),
        ("boolean", "1.01"),
        ("datetime", 20240229),
        ("datetime", 2024),
        ("datetime", "202402"),
        ("datetime", 10**30),
        ("datetime", True),
        ("datetime", timedelta(1)),
        ("date", "29.02.2024"),
        ("date", 20240229),
        ("json", "{a: 1}"),
    ],
)
def test_a_text_that_is_not_what_types_says_is_refused_and_not_guessed(kind, value):
    said = f"types says {'datetime' if kind == 'date' and value == '29.02.2024' else kind}|of type timedelta"
    with pytest.raises(MoEngageRecordInvalid, match=said):
        CONVERTERS[kind]("attribute", value, KOLKATA)


@pytest.mark.parametrize(
    ("kind", "value", "expected"),
    [
        ("datetime:%d/%m/%Y %H:%M", "31/12/2025 10:00", "2025-12-31T04:30:00Z"),
        ("datetime:%d/%m/%Y", " 31/12/2025 ", "2025-12-30T18:30:00Z"),
        ("datetime:%m/%d/%Y %I:%M %p", "12/31/2025 10:00 PM", "2025-12-31T16:30:00Z"),
        ("datetime:%d %b %Y %H:%M:%S %z", "31 Dec 2025 10:00:00 +0100", "2025-12-31T09:00:00Z"),
        ("datetime:%d/%m/%Y", datetime(2025, 12, 31, 10, tzinfo=timezone.utc), "2025-12-31T10:00:00Z"),
        ("datetime:%d/%m/%Y", date(2025, 12, 31), "2025-12-30T18:30:00Z"),
        ("datetime:%d/%m/%Y", None, None),
        ("datetime:%d/%m/%Y", "", None),
        ("datetime:%d/%m/%Y", float("nan"), None),
        ("datetime:%d/%m/%Y", ["31/12/2025"], ["2025-12-30T18:30:00Z"]),
        ("date:%d/%m/%Y", "31/12/2025", "2025-12-31"),
        ("date:%d/%m/%y", "31/12/25", "2025-12-31"),
        ("date:%Y%m%d", 20251231, "2025-12-31"),
        ("date:%Y%m%d", 20251231.0, "2025-12-31"),
        ("date:%Y%m%d", numpy.int64(20251231), "2025-12-31"),
        ("date:%d/%m/%Y", datetime(2025, 12, 31, 23), "2025-12-31"),
    ],
)
def test_a_form_converts_texts(kind, value, expected):
    assert converter_of("types['a']", kind)("a", value, KOLKATA) == expected


@pytest.mark.parametrize(
    "value", ["12/31/2025", "31/12/2025 10:00", "31/02/2025", True, 1.5, [b"x"], timedelta(1)]
)
def test_a_text_in_another_form_is_rejected(value):
    with pytest.raises(MoEngageRecordInvalid):
        converter_of("types['a']", "date:%d/%m/%Y")("a", value, None)


@pytest.mark.parametrize(
    "kind",
    ["date:", "datetime:", "datetime:dd/mm/yyyy", "date:%d/%m", "datetime:%H:%M", "date:%d/%m/%Q", "date:%Y-%Y-%m-%d",
     "datetime:%d/%m/%Y %Z", "time:%H", "string:%d/%m/%Y", "Datetime", "date:%d/%m/%Y %", 5, None, ["date"]],
)  # fmt: skip
def test_a_form_that_is_none_is_an_error_before_the_first_row(kind):
    with pytest.raises(MoEngageParameterError, match=r"types\['a'\] is .*datetime"):
        converter_of("types['a']", kind)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2025-12-31T10:00:00.000Z", "2025-12-31T10:00:00Z"),
        ("2025-12-31T10:00:00.123456789Z", "2025-12-31T10:00:00Z"),
        ("2025-12-31T10:00:00,5Z", "2025-12-31T10:00:00Z"),
        ("2025-12-31T10:00:00+05:30", "2025-12-31T04:30:00Z"),
        ("2025-12-31T10:00:00+0530", "2025-12-31T04:30:00Z"),
        ("2025-12-31T10:00:00.9-05", "2025-12-31T15:00:00Z"),
        ("2025-12-31T10:00:00-00:00", "2025-12-31T10:00:00Z"),
        ("2025-12-31T10:00:00Z", "2025-12-31T10:00:00Z"),
        *((text, text) for text in (
            "2025-02-30T10:00:00.000Z", "2025-12-31T24:00:00.000Z", "2025-12-31T10:00:60.000Z", "2025-12-31T10:00:00",
            "2025-12-31 10:00:00.000Z", "2025-12-31t10:00:00.000z", "0001-01-01T00:00:00+05:30", "2025-12-31T10:00Z",
            "9999-12-31T23:59:59-01:00", "2025-12-31T10:00:00+05:75", "x2025-12-31T10:00:00.000Z", "2025-12-31T10:00:00.Z",
        )),
    ],
)  # fmt: skip
def test_an_instant_that_leaves_no_doubt_is_written_as_documented(text, expected):
    assert attribute_value("a", text, None) == expected
    assert attribute_value("a", {"b": [text]}, None) == {"b": [expected]}
    assert json_value("a", [text], None) == [text]


def test_nulls_in_objects_are_left_out_and_those_in_arrays_stay():
    value = {"a": None, "b": {"c": float("nan"), "d": 1}, "e": [{"f": None, "g": 2}, None]}
    assert json_value("a", value, None) == {"b": {"d": 1}, "e": [{"g": 2}, None]}


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
        (Decimal("NaN"), None),
        (numpy.float32("nan"), None),
        (pandas.NaT, None),
        (pandas.NA, None),
        (numpy.datetime64("NaT"), None),
        (2.0**53 - 1, "9007199254740991"),
        (numpy.float32(2**24 - 1), "16777215"),
        (numpy.str_("c-1"), "c-1"),
        (Fraction(5), "5"),
    ],
)
def test_an_id_is_always_a_string(value, expected):
    assert customer_id_text(value) == expected


@pytest.mark.parametrize(
    "value",
    [
        1.25, Decimal("1.5"), True, b"x", 2.0**60, 2.0**53, -(2.0**53), numpy.float64(2**53), numpy.float32(2**24),
        numpy.float16(2**11), math.inf, Decimal("Infinity"), Decimal("1e999999"), date(2024, 1, 1), ["a"], {},
        timedelta(1), numpy.timedelta64(5, "ns"), numpy.datetime64("2024-01-01"), numpy.bool_(True), Fraction(1, 3),
        OutOfRange("timestamp", "infinity"), pandas.Timestamp("2024-01-01", tz="UTC"), 1j,
    ],
    ids=repr,
)  # fmt: skip
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
