"""The line that tells how far a run is."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from airflow_provider_moengage.delivery.account.progress import LINE_LENGTH, Progress
from airflow_provider_moengage.delivery.account.segments import Tally
from airflow_provider_moengage.delivery.quantities import counted, span

SOME = Progress(
    accepted=11_997,
    valid=0,
    rejected=3,
    total=50_000,
    seconds=100.0,
    throttled_seconds=41.0,
    resets_in=None,
)
ROWS = st.integers(min_value=0, max_value=9_999_999_999)
SECONDS = st.floats(min_value=0.0, max_value=1e9)


def progress(accepted: int, rejected: int, left: int, seconds: float, resets_in: float | None) -> Progress:
    return Progress(accepted, 0, rejected, accepted + rejected + left, seconds, 0.0, resets_in)


def test_the_line_begins_with_the_share_and_the_time_to_go():
    assert str(SOME) == "24 % (12,000 of 50,000), about 5 min to go, 3 rejected, 120/s"


def test_a_wait_that_lasts_is_named_with_its_end():
    assert str(replace(SOME, resets_in=19.0)).endswith(", window full, 19 s more")


def test_where_nobody_knows_the_total_there_is_no_share_and_no_time_to_go():
    assert str(replace(SOME, total=None)) == "12,000 rows done, 3 rejected, 120/s"
    assert str(replace(SOME, total=None, accepted=1, rejected=0, seconds=1.0)).startswith("1 row done, ")


def test_rows_that_were_only_to_be_checked_are_done_too():
    assert str(replace(SOME, accepted=0, valid=11_997)) == str(SOME)


def test_before_the_first_row_there_is_no_pace_to_reckon_with():
    start = replace(SOME, accepted=0, rejected=0, seconds=0.0, throttled_seconds=0.0)
    assert str(start) == "0 % (0 of 50,000), 0 rejected, 0.0/s"


def test_no_row_less_than_all_is_100_percent():
    assert str(replace(SOME, accepted=49_996)).startswith("99 % (49,999 of 50,000), about ")
    assert str(replace(SOME, accepted=49_997)).startswith("100 % (50,000 of 50,000), 3 rejected")


def test_of_no_rows_at_all_there_is_no_share():
    assert str(replace(SOME, accepted=0, rejected=0, total=0)).startswith("0 rows done, 0 rejected")


@given(
    accepted=ROWS,
    rejected=ROWS,
    left=ROWS,
    seconds=SECONDS,
    resets_in=st.none() | SECONDS,
    known=st.booleans(),
)
def test_a_line_is_never_cut_off(
    accepted: int, rejected: int, left: int, seconds: float, resets_in: float | None, known: bool
):
    assume(accepted + rejected + left < 10_000_000_000)
    at = progress(accepted, rejected, left, seconds, resets_in)
    line = str(at if known else replace(at, total=None))
    assert len(line) <= LINE_LENGTH == 100
    assert f"{rejected:,} rejected" in line
    assert line.startswith("100 % ") == (known and left == 0 and at.done > 0)


@given(
    accepted=st.integers(min_value=1, max_value=98_999_999),
    rejected=st.integers(min_value=0, max_value=999_999),
    left=st.integers(min_value=1, max_value=100_000_000),
    seconds=st.floats(min_value=0.1, max_value=100_000.0),
    resets_in=st.floats(min_value=0.0, max_value=3_600.0),
)
def test_up_to_a_hundred_million_rows_a_wait_is_always_named(
    accepted: int, rejected: int, left: int, seconds: float, resets_in: float
):
    assume(accepted + rejected + left <= 100_000_000)
    line = str(progress(accepted, rejected, left, seconds, resets_in))
    assert re.match(r"\d+ % \([\d,]+ of [\d,]+\), about .* to go, [\d,]+ rejected, ", line)
    assert "window full, " in line


@pytest.mark.parametrize(
    ("seconds", "resets_in"), [(10.0, 50.0), (35.0, 25.0), (60.0, 0.0), (130.0, 50.0), (599.0, 1.0)]
)
def test_a_burst_and_the_wait_after_it_make_one_pace(seconds: float, resets_in: float):
    """Ten thousand rows leave within ten seconds, then nothing does for fifty: that is 167 a second, not 1,000."""
    windows = (seconds + resets_in) / 60
    at = Progress(
        accepted=int(10_000 * windows),
        valid=0,
        rejected=0,
        total=1_000_000,
        seconds=seconds,
        throttled_seconds=1.0,
        resets_in=resets_in,
    )
    assert at.rows_per_second == pytest.approx(166.7, abs=0.1)
    assert at.seconds_to_go == pytest.approx(6_000 - 60 * windows, abs=1)


def test_the_last_rows_come_no_sooner_than_the_window_they_wait_for():
    assert replace(SOME, accepted=49_996, resets_in=30.0).seconds_to_go == 30.0


def test_rows_come_no_sooner_than_the_windows_to_come_grant_them():
    burst = replace(SOME, accepted=300, rejected=0, total=1_500, seconds=1.0)
    assert burst.seconds_to_go == pytest.approx(4.0)
    assert replace(burst, windows_seconds=79.0).seconds_to_go == 79.0


def test_a_try_that_has_done_nothing_yet_goes_by_the_windows_alone():
    resumed = replace(SOME, earlier=Tally(accepted=11_997, rejected=3))
    assert resumed.seconds_to_go is None
    assert replace(resumed, windows_seconds=180.0).summary == "24 % (12,000 of 50,000), about 3 min to go"


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.0, "0 s"),
        (0.24, "0.2 s"),
        (0.96, "1 s"),
        (99.0, "99 s"),
        (99.9, "2 min"),
        (3_540.0, "59 min"),
        (3_599.0, "1 h 0 min"),
        (9_960.0, "2 h 46 min"),
        (59_940.0, "16 h 39 min"),
        (172_800.0, "2 days"),
    ],
)
def test_spans_are_written_as_people_read_them(seconds: float, text: str):
    assert span(seconds) == text


def test_one_is_not_a_plural():
    assert [counted(number, "row") for number in (0, 1, 2_000)] == ["0 rows", "1 row", "2,000 rows"]
