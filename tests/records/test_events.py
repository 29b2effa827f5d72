"""What an event's time may be."""

from __future__ import annotations

from decimal import Decimal

import pytest

from airflow_provider_moengage.api.errors import MoEngageRecordInvalid
from airflow_provider_moengage.records.events import Event, epoch_seconds


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        (0, 0),
        (99_999_999_999, 99_999_999_999),
        (100_000_000_000, 100_000_000),
        ("1433837969", 1_433_837_969),
        ("1433837969123", 1_433_837_969),
        (Decimal("1433837969123.5"), 1_433_837_969),
        (1_433_837_969_123_456, 1_433_837_969),
        ("1433837969123456", 1_433_837_969),
        (1_433_837_969_123_456_789, 1_433_837_969),
        (1_433_837_969.9, 1_433_837_969),
        (" 1433837969.5 ", 1_433_837_969),
        (10**14, 10**8),
        ("2015-06-09T13:49:29+0530", 1_433_837_969),
        ("2015-06-09", 1_433_808_000),
    ],
)
def test_times_come_to_seconds(value: object, seconds: int):
    assert epoch_seconds("current_time", value) == seconds


@pytest.mark.parametrize(
    "value",
    [
        -1,
        10**20,
        20251231,
        "20251231",
        2025,
        202512,
        float("inf"),
        Decimal("NaN"),
        Decimal("1e999999"),
        True,
        "",
        "soon",
        "2015-06-31",
        None,
        [],
    ],
)
def test_what_is_no_time_says_so_without_the_value(value: object):
    with pytest.raises(MoEngageRecordInvalid, match="is not a time"):
        epoch_seconds("current_time", value)


def test_an_event_reads_as_it_is_sent():
    event = Event.check({"customer_id": "a1", "actions": [{"action": "seen", "current_time": 5}]})
    expected = (
        b'{"type":"event","customer_id":"a1","actions":[{"action":"seen","attributes":{},"current_time":5}]}'
    )
    assert event.to_json() == expected


def test_the_users_own_clock_has_no_offset():
    with pytest.raises(MoEngageRecordInvalid, match="user_time is the user's local time"):
        epoch_seconds("user_time", "2026-01-01T10:00:00+05:30")
    assert epoch_seconds("user_time", "2026-01-01T10:00:00") == epoch_seconds(
        "current_time", "2026-01-01T10:00:00Z"
    )
