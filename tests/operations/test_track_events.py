"""Rows of one user that stand together open the same call."""

from __future__ import annotations

from airflow_provider_moengage.delivery.shape.row_warnings import RowWarnings
from airflow_provider_moengage.operations.track_events import EVENTS, EventMapping


def test_rows_of_one_user_share_an_opening_and_are_ordered_by_user():
    mapping = EventMapping()
    rows = [{"customer_id": who, "action": "seen", "event_time": 5} for who in ("a1", "a1", "b1")]
    first, second, third = (mapping.item(row, RowWarnings()) for row in rows)
    assert first[2].opening == second[2].opening != third[2].opening
    assert (first[1], third[1]) == ("a1", "b1")
    assert first[2].units == {EVENTS: 1}
