"""Packing: in order, none lost, never over the limits, never two openings in one call."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_moengage.api.endpoint import Endpoint, Quota
from airflow_provider_moengage.api.errors import MoEngageRecordInvalid
from airflow_provider_moengage.delivery.batch import Batch, Envelope, Item
from airflow_provider_moengage.delivery.send.packer import Packer
from airflow_provider_moengage.operations.bulk_endpoint import BULK_EVENTS, BULK_USERS
from airflow_provider_moengage.operations.track_users import USERS
from tests.support.batches import add_row

items = st.lists(
    st.tuples(
        st.binary(min_size=1, max_size=30),
        st.just("u"),
        st.sampled_from([Envelope({USERS: 1}, b"[", b"]"), Envelope({USERS: 1}, b"{{[", b"]")]),
    ),
    max_size=60,
)


@given(items, st.integers(1, 10), st.integers(34, 100))
def test_every_item_is_in_one_call_in_its_order_and_within_the_limits(
    drawn: list[Item], most: int, most_bytes: int
):
    packer = Packer(Endpoint("Any", "/any", "path", max_records=most, max_bytes=most_bytes))
    batches = [batch for n, item in enumerate(drawn) for batch in packer.add(item, n, None)]
    batches += packer.rest()
    assert [
        item for batch in batches for item in zip(batch.contents, batch.users, batch.envelopes, strict=True)
    ] == drawn
    assert [entry.position for batch in batches for entry in batch.entries] == list(range(len(drawn)))
    for batch in batches:
        assert len(batch) <= most
        assert len(batch.body) <= most_bytes
        assert len({envelope.opening for envelope in batch.envelopes}) == 1
        assert batch.units == {USERS: len(batch)}
    assert not packer.rest()


def test_an_item_that_fits_nowhere_is_not_taken():
    packer = Packer(Endpoint("Any", "/any", "path", max_records=9, max_bytes=10))
    with pytest.raises(MoEngageRecordInvalid, match="over the 10 bytes"):
        packer.add((b"12345678901", "u", Envelope({})), 0, None)
    assert not packer.rest()


def batch_of(*envelopes: Envelope) -> Batch:
    batch = Batch()
    for n, envelope in enumerate(envelopes):
        add_row(batch, bytes([n]), f"user {n}", envelope, n, None)
    return batch


@given(st.integers(0, 5))
def test_what_is_cut_keeps_the_order(place: int):
    first, second = batch_of(*[Envelope({USERS: 1})] * 5).split(place)
    assert [entry.position for entry in first.entries] == list(range(place))
    assert [entry.position for entry in second.entries] == list(range(place, 5))
    assert first.contents + second.contents == [bytes([n]) for n in range(5)]


def test_a_batch_is_cut_to_what_is_granted_of_every_quota():
    user, event = Envelope({BULK_USERS: 1}), Envelope({BULK_EVENTS: 3})
    batch = batch_of(user, event, user, event)
    assert batch.units == {BULK_USERS: 2, BULK_EVENTS: 6}
    assert batch.minimum_units == {BULK_USERS: 1, BULK_EVENTS: 1}
    assert batch.rows_within({BULK_USERS: 2, BULK_EVENTS: 6}) == 4
    assert batch.rows_within({BULK_USERS: 2, BULK_EVENTS: 5}) == 3
    assert batch.rows_within({BULK_USERS: 1, BULK_EVENTS: 6}) == 2
    assert batch.rows_within({BULK_USERS: 1, BULK_EVENTS: 2}) == 1


def test_a_quota_of_requests_costs_one_unit_however_many_records_a_batch_holds():
    requests = Quota("cohorts", 300, "requests")
    batch = batch_of(*[Envelope({requests: 1})] * 5)
    assert batch.units == batch.minimum_units == {requests: 1}
    assert batch.rows_within({requests: 1}) == 5
    first, second = batch.split(2)
    assert first.units == second.units == {requests: 1}


@given(items, st.data())
def test_the_chosen_rows_and_the_others_are_all_rows_in_their_order(drawn: list[Item], data: st.DataObject):
    batch = Batch()
    for position, item in enumerate(drawn):
        add_row(batch, *item, position, None)
    chosen = data.draw(st.lists(st.booleans(), min_size=len(drawn), max_size=len(drawn)))
    taken, left = batch.select(chosen)
    assert taken.positions == [position for position, one in enumerate(chosen) if one]
    assert left.positions == [position for position, one in enumerate(chosen) if not one]
    together = taken.joined(left)
    assert together.contents == [drawn[position][0] for position in together.positions]
    assert together.envelopes == [drawn[position][2] for position in together.positions]
