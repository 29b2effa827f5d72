"""Any row of any values is the same row again after it was staged, or rejected and fed back."""

from __future__ import annotations

import json
from datetime import datetime, timedelta, timezone
from typing import Any
from zoneinfo import ZoneInfo

import numpy
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic_core import from_json

from airflow_provider_moengage.api.errors import MoEngageRecordInvalid
from airflow_provider_moengage.delivery.account.ledger import ID_TYPE_CODES
from airflow_provider_moengage.delivery.account.rejected_rows import line_of
from airflow_provider_moengage.delivery.read.staged_values import line_of_row, row_of_line
from airflow_provider_moengage.delivery.shape.foreign import OutOfRange
from airflow_provider_moengage.delivery.shape.row_codec import decoded, readable
from airflow_provider_moengage.delivery.shape.row_warnings import RowWarnings
from airflow_provider_moengage.operations.track_users import UserMapping
from tests.support.strange_values import VALUES

zones = st.none() | st.integers(-840, 840).map(lambda minutes: timezone(timedelta(minutes=minutes)))
moments = st.builds(
    lambda moment, zone, fold: moment.replace(tzinfo=zone, fold=fold),
    st.datetimes(),
    zones,
    st.integers(0, 1),
)
scalars = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.integers(-(2**1100), 2**1100)
    | st.floats()
    | st.floats(width=32).map(numpy.float32)
    | st.decimals()
    | st.decimals(places=2)
    | st.fractions()
    | st.text(max_size=6)
    | st.text(st.characters(), max_size=4)
    | st.sampled_from(["$type", "$value", "2025-01-01", "2025-01-01T10:00:00+05:30", "31/12/2025"])
    | moments
    | st.datetimes(timezones=st.timezones())
    | st.dates()
    | st.times()
    | st.timedeltas()
    | st.uuids()
    | st.binary(max_size=4)
    | st.binary(max_size=4).map(bytearray)
    | st.ip_addresses()
    | st.sampled_from([OutOfRange("timestamp", "infinity"), 10**400, 1j, object(), {1}])
    # hypothesis shows what it draws, which these cannot.
    | st.sampled_from(
        [
            value
            for what, (value, _) in VALUES.items()
            if not {"far", "broken", "zone", "endless"} & set(what.split())
        ]
    )
)
values = st.recursive(
    scalars,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["$type", "$value", "a", "b"]) | st.text(max_size=3), inner, max_size=3
        )
        | st.dictionaries(st.integers() | st.binary(max_size=2), inner, max_size=2)
    ),
    max_leaves=6,
)
kinds = st.sampled_from(
    [None, "string", "number", "boolean", "datetime", "date", "json", "datetime:%d/%m/%Y", "date:%Y-%m-%d"]
)
Outcome = "bytes | str"


def outcome(mapping: UserMapping, row: Any) -> Outcome:
    """What is sent of a row, or the code of its rejection."""
    try:
        return mapping.item(row, RowWarnings())[0]
    except MoEngageRecordInvalid as error:
        return error.code
    except RecursionError:
        return "object_levels"


def agree(kind: str | None, was: Outcome, now: Outcome) -> bool:
    """Whether a row that came back became what it was before, or was rejected as before."""
    if isinstance(was, str):
        # The first of two faults may be another then.
        return isinstance(now, str)
    # A date that is written as a text is no JSON text.
    return now == was or (kind == "json" and now == "not_a_json")


def fed_back(row: Any, code: str) -> Any:
    line = line_of({"row": readable(row, exact=code in ID_TYPE_CODES)})
    json.loads(line, parse_constant=lambda name: pytest.fail(name))
    return decoded(from_json(line)["row"])


def staged(row: dict[str, Any]) -> dict[str, Any]:
    return dict(zip(row, row_of_line(line_of_row(list(row.values()))), strict=True))


@given(values, values, kinds, st.sampled_from([None, "Asia/Kolkata", "America/New_York"]))
@settings(max_examples=1_500, deadline=None)
def test_what_comes_back_is_sent_as_what_it_was(customer_id: Any, value: Any, kind: Any, zone: Any):
    row = {"customer_id": customer_id, "value": value}
    mapping = UserMapping(types={"value": kind} if kind else None, timezone=zone)
    was = outcome(mapping, row)
    code = was if isinstance(was, str) else "http_400"
    for back in (fed_back(row, code), staged(row), staged(staged(row)), fed_back(staged(row), code)):
        now = outcome(mapping, back)
        assert agree(kind, was, now)
    # The repair: another id, and what types and the zone mend.
    repaired = outcome(mapping, {**row, "customer_id": "user-1"})
    assert agree(kind, repaired, outcome(mapping, {**fed_back(row, code), "customer_id": "user-1"}))


@given(values)
@settings(max_examples=500, deadline=None)
def test_what_is_written_stays_the_same(row: Any):
    once = readable(row, exact=True)
    assert readable(decoded(once), exact=True) == once


@pytest.mark.parametrize("what", VALUES)
def test_any_value_of_any_library_can_be_written(what: str):
    value = VALUES[what][0]
    for exact in (False, True):
        text = json.dumps(readable({"a": value, "b": [value]}, exact=exact), allow_nan=False)
        assert "PRIVATE" not in text
        decoded(json.loads(text))
    row_of_line(line_of_row([value, [value], {"a": value}]))


def test_the_second_of_two_equal_hours_stays_the_second():
    moment = datetime(2025, 11, 2, 1, 30, fold=1)
    (back,) = row_of_line(line_of_row([moment]))
    zone = ZoneInfo("America/New_York")
    assert back.replace(tzinfo=zone).utcoffset() == moment.replace(tzinfo=zone).utcoffset()


def test_an_integer_of_thousands_of_digits_can_be_staged():
    assert row_of_line(line_of_row([1, 10**5_000, "a"])) == [1, 10**5_000, "a"]
