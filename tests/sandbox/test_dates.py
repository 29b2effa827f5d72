"""Which texts are datetimes to MoEngage, which mean one all the same, and which are ordinary texts."""

from __future__ import annotations

from datetime import date, datetime

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from airflow_provider_moengage.sandbox.dates import is_datetime, is_undocumented_date
from tests.sandbox.conftest import Api

#: Of strftime: whole dates in the orders and with the separators that people use.
DATES = (
    *("%d/%m/%Y", "%m/%d/%Y", "%Y/%m/%d", "%d.%m.%Y", "%d-%m-%Y", "%m-%d-%Y"),
    *("%d %b %Y", "%d-%b-%Y", "%d %B %Y", "%b %d, %Y", "%B %d, %Y", "%b %d %Y", "%a, %d %b %Y", "%Y-%b-%d"),
)
TIMES = (
    *("", " %H:%M", " %H:%M:%S", " %H:%M:%S.%f", ", %H:%M:%S", " %I:%M %p", " %I:%M:%S%p", "T%H:%M:%S"),
    *(" %H:%M:%S UTC", " %H:%M:%SZ", " %H:%M:%S +05:30", " %H:%M:%S +0530", " %H:%M IST"),
)
MOMENTS = st.datetimes(min_value=datetime(1000, 1, 1))


@given(
    MOMENTS, st.sampled_from(DATES), st.sampled_from(TIMES), st.sampled_from(["", " ", "\t", "\n", "\u200b"])
)
@example(datetime(2025, 12, 31), "%d/%m/%Y", "", "")
def test_a_date_in_another_form_means_a_date(moment: datetime, form: str, time: str, blank: str) -> None:
    text = moment.strftime(form + time)
    assert is_undocumented_date(blank + text)
    assert is_undocumented_date(text + blank)
    assert not is_datetime(text)


@given(
    MOMENTS,
    st.sampled_from(["", ".000", ".1", ".123456789"]),
    st.sampled_from(["", "Z", "z", "+05:30", "+00"]),
)
def test_an_instant_is_documented_in_whole_seconds_of_utc_alone(
    moment: datetime, fraction: str, zone: str
) -> None:
    whole = moment.replace(microsecond=0).isoformat()
    documented = (fraction, zone) == ("", "Z")
    for text in (f"{whole}{fraction}{zone}", f"{whole.replace('T', ' ')}{fraction}{zone}"):
        is_documented = documented and "T" in text
        assert is_datetime(text) is is_documented
        assert is_undocumented_date(text) is not is_documented


@given(st.dates())
def test_a_date_of_iso_8601_is_documented(day: date) -> None:
    assert is_datetime(day.isoformat())
    assert not is_undocumented_date(day.isoformat())


@pytest.mark.parametrize(
    "text",
    [
        *("2024-02-30", "2024-13-01", "0000-00-00", "30/02/2024", "00/00/0000", "2024-01-01T25:00:00Z"),
        *(
            "2025-1-5",
            "2025-12-31T10:00",
            "2025-12-31t10:00:00z",
            "2025-12-31T10:00:00Z garbage",
            "2025-12-31 ",
        ),
        *("1/1/0001 12:00:00 AM", "12/31/2025, 10:00:00\u202fPM", "31/12/2025 10:00 Asia/Kolkata"),
        *(
            "31st December 2025",
            "Dec 31 2025 10:00AM",
            "December 31, 2025 at 10:00 PM",
            "31/Dec/2025:10:00:00 +0000",
        ),
        *("Wed, 31 Dec 2025 10:00:00 GMT", "Wed Dec 31 10:00:00 2025", "Wed Dec 31 10:00:00 UTC 2025"),
        "Wed Dec 31 2025 10:00:00 GMT+0530 (India Standard Time)",
        *("2025-12-31T10:00:00+01:00[Europe/Berlin]", "0044-03-15 BC", "\ufeff2025-12-31"),
    ],
)
def test_what_people_and_programs_write(text: str) -> None:
    assert is_undocumented_date(text)


@pytest.mark.parametrize(
    "text",
    [
        *("gold", "", "2024", "20240101", "12345", "1735689600", "1735689600123", "919876543210"),
        *("555-1234", "123-45-6789", "12-34-5678", "+91 98765 43210", "1-800-555-1234", "98765-43210"),
        *("1.2.3", "10.2.1", "2024.10.01", "10.0.0.1", "192.168.100.200", "1.2.2024.5", "v2024-01-01"),
        *(
            "2025-01-01-0001",
            "user-2025-12-31",
            "INV/2025/12",
            "2025/12345",
            "12/2025",
            "2025-12",
            "99/99/2025",
        ),
        *("May 2025", "Marathon 2025", "March 10", "August", "monday", "Sun City 10 2025", "Dec", "12:30:45"),
        *("2025-12-31 delivered", "31/12/2025 delivered today", "Order 31/12/2025", "31/12/2025 or 1/1/2026"),
        *("a1b2c3d4-e5f6-7890-abcd-ef1234567890", "1/2/3", "10/10/10/2025", "12/31/25"),
    ],
)
def test_ordinary_texts_are_none(text: str) -> None:
    assert not is_undocumented_date(text)


@given(st.text(alphabet="0123456789/-.: TZJanDec+", max_size=120))
def test_any_text_is_at_most_one_of_the_two(text: str) -> None:
    assert not (is_datetime(text) and is_undocumented_date(text))


@pytest.mark.parametrize(
    "text", ["31/12/2025", "12/31/2025 10:00", "2025/12/31", " 2025-12-31", "31 Dec 2025"]
)
def test_they_are_bent_in_attributes_arrays_and_events(api: Api, text: str) -> None:
    api.track({"plain": text, "array": ["a", text]})
    api.event({"action": "a", "attributes": {"of_event": text}})
    assert api.stored() == {"plain": text, "array": ["a", text]}
    assert [bent["attribute"] for bent in api.sandbox.bent()] == ["plain", "array", "of_event"]
    assert {bent["what"] for bent in api.sandbox.bent()} == {
        "stored as a string: looks like a date, but is none in a documented form"
    }
