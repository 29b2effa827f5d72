"""Which texts are meant as dates; and that none of them leaves by the quick exit."""

from __future__ import annotations

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from airflow_provider_moengage.records.dates import (
    DATE_WORDS,
    FORMS_OF_DATES,
    LETTERS,
    is_documented_date,
    is_undocumented_date,
    may_begin_date,
)

DATES = [
    "00/00/0000", "31/12/2025", "12/31/2025 10:00", "2025/12/31", " 2025-12-31", "2025-12-31 ", "31.12.2025", "31-12-2025",
    "1/5/2025", "2025-1-5", "2025.12.31", "1.2.2025", "31/12/9999", "01/01/0001 00:00:00", "Dec 31, 2025",
    "December 31, 2025", "Dec. 31, 2025", "31 Dec 2025 10:00", "31-Dec-2025", "31DEC2025", "31. Dec 2025",
    "1st January 2025", "January 1st, 2025", "31st of December 2025", "Sept 5, 2025", "2025 Dec 31", "2025-Dec-31",
    "Wednesday, December 31, 2025", "Wed 31/12/2025", "Wed, 31 Dec 2025 10:00:00 GMT", "Wed, 31 Dec 2025 10:00:00 +0530",
    "Wed Dec 31 10:00:00 2025", "Wed Dec 31 10:00:00 UTC 2025",
    "Wed Dec 31 2025 10:00:00 GMT+0100 (Central European Standard Time)", "12/31/2025 10:00 AM",
    "12/31/2025, 10:00:00 p.m.", "31/12/2025 10:00:00.123 IST", "31/12/2025T10:00:00Z", "31.12.2025 10:00",
    "2025/12/31 10:00:00+05:30", "31/Dec/2025:10:00:00 +0000", "December 31, 2025 at 10:00 AM", "10:00 31/12/2025",
    "20251231T100000Z", "20251231 10:00", "2025-12-31 10:00:00", "2025-12-31T10:00", "2025-12-31 offer",
    "2025-02-30", "\u00a031/12/2025", "31/12/2025\u200b", "31/12/2025\n", "\ufeff2025-12-31",
]  # fmt: skip
TEXTS = [
    "20251231", "10/10", "10.0.0.1", "192.168.2025.1", "1/2/3", "31/12/25", "+49 170 1234567", "555-12-3456", "1.2.3",
    "10.12.1024", "2025", "12.50", "1,234.56", "Dec 2025", "12/2025", "2025-12", "May the 4th", "Marta Kowalska",
    "Maria 1990", "mar.1990@example.com", "12 Main Street", "12 Mayfair 2000", "45/99/2025", "13/13/2025",
    "3e0f2f6e-3c5d-4a5e-9d5b-3f5b0d6f0d11", "31/12/2025 offer", "on 31/12/2025", "Order 2025/12/31-5", "10:30",
    "Mon-Fri 10:00", "30 days", "5G", "100ml", "7 of 9", "Q4/2025", "2025-12-31", "2025-12-31T10:00:00Z", "", "x",
]  # fmt: skip


@pytest.mark.parametrize("text", DATES)
def test_a_text_that_as_a_whole_is_a_date_in_another_form(text: str):
    assert is_undocumented_date(text)
    assert is_undocumented_date(text.upper()) or text[10:11] == "T"
    assert may_begin_date(text)


@pytest.mark.parametrize("text", TEXTS)
def test_other_texts_are_texts(text: str):
    assert not is_undocumented_date(text)


pieces = st.lists(
    st.sampled_from(
        ["31", "12", "2025", "1", "9999", "0001", "2021", "20251231", "123", "/", "-", ".", ",", " ", ":", "T", "t", "Z", "10:00",
         "Dec", "dec", "December", "MAY", "Wed", "Monday", "st", "th", "of", "at", "AM", "UTC", "+05:30", "(x)", "\u00a0", "\n",
         "\u0663", "é", "a", "0"]
    ),
    max_size=11,
).map("".join)  # fmt: skip
changed = st.tuples(st.sampled_from(DATES), st.integers(0, 40), st.text(max_size=2)).map(
    lambda drawn: drawn[0][: drawn[1]] + drawn[2] + drawn[0][drawn[1] :]
)


@given(pieces | changed | st.sampled_from(DATES) | st.from_regex(r"\A\d{4}-\d{2}-\d{2}"))
@settings(max_examples=4_000, deadline=None)
def test_the_quick_exit_is_taken_by_no_undocumented_date(text: str):
    if text[:1] in LETTERS and text[:3] not in DATE_WORDS:
        assert not may_begin_date(text)
    if not may_begin_date(text):
        assert is_documented_date(text) or not any(form.fullmatch(text) for form in FORMS_OF_DATES)
        assert is_documented_date(text) or not re.match(r"\d{4}-\d{2}-\d{2}", text)
