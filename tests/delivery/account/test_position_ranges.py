from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_moengage.delivery.account.position_ranges import PositionRanges

some = st.lists(st.tuples(st.integers(0, 60), st.integers(0, 60)))


def positions(ranges: list[tuple[int, int]]) -> set[int]:
    return {position for first, end in ranges for position in range(first, end)}


@given(some, some, st.integers(0, 60))
def test_they_hold_exactly_the_positions_they_were_given(one, other, start):
    expected = positions(one)
    ranges = PositionRanges(one)
    assert {position for position in range(70) if position in ranges} == expected
    assert ranges.end == max(expected, default=-1) + 1
    assert ranges == PositionRanges((position, position + 1) for position in expected)
    assert positions(list(ranges.starting_at(start))) == {
        position for position in expected if position >= start
    }
    assert positions(list(ranges.union([start], other))) == expected | positions(other) | {start}


@given(some)
def test_they_are_sorted_and_neither_touch_nor_overlap(one):
    flat = [edge for pair in PositionRanges(one) for edge in pair]
    assert flat == sorted(set(flat))
