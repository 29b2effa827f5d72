"""The line that tells how far a run is."""

from __future__ import annotations

from dataclasses import replace

import pytest

from airflow_provider_moengage.delivery.progress import Progress

SOME = Progress(
    accepted=11_997,
    valid=0,
    rejected=3,
    total=50_000,
    seconds=100.0,
    throttled_seconds=41.0,
    resets_in=None,
)


def test_the_line_names_rows_refusals_pace_waits_and_the_time_to_go():
    assert str(SOME) == (
        "12,000 of 50,000 rows done (24 %), 3 refused (0.03 %), 120 rows/s, waited 41 s for the rate window, "
        "about 5 min to go"
    )


def test_a_wait_that_lasts_is_told_with_its_end():
    assert "waiting for the rate window (41 s so far, 19 s more)" in str(replace(SOME, resets_in=19.0))


def test_where_nobody_knows_the_total_the_line_promises_no_end():
    assert str(replace(SOME, total=None, rejected=0, accepted=12_000, throttled_seconds=0.0)) == (
        "12,000 rows done, 0 refused, 120 rows/s"
    )


def test_rows_that_were_only_to_be_checked_are_done_too():
    assert str(replace(SOME, accepted=0, valid=11_997)) == str(SOME)


def test_before_the_first_row_there_is_no_pace_to_reckon_with():
    start = replace(SOME, accepted=0, rejected=0, seconds=0.0, throttled_seconds=0.0)
    assert str(start) == "0 of 50,000 rows done (0 %), 0 refused, 0.0 rows/s"


def test_no_row_less_than_all_is_100_percent():
    almost = replace(SOME, accepted=49_996)
    assert "49,999 of 50,000 rows done (99 %)" in str(almost)
    done = replace(SOME, accepted=49_997)
    assert "50,000 of 50,000 rows done (100 %)" in str(done)
    assert "to go" not in str(done)


def test_of_no_rows_at_all_there_is_no_share():
    assert str(replace(SOME, accepted=0, rejected=0, total=0, throttled_seconds=0.0)).startswith(
        "0 rows done, 0 refused"
    )


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
    one_left = replace(SOME, accepted=49_996, resets_in=30.0)
    assert one_left.seconds_to_go == 30.0


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.2, "0 s"),
        (99.0, "99 s"),
        (99.9, "2 min"),
        (3_540.0, "59 min"),
        (3_599.0, "1 h 0 min"),
        (9_960.0, "2 h 46 min"),
        (59_940.0, "16 h 39 min"),
    ],
)
def test_spans_are_written_as_people_say_them(seconds: float, text: str):
    assert f"waited {text} for the rate window" in str(replace(SOME, throttled_seconds=seconds))
