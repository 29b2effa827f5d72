"""Packing: in order, none lost, never over the limits, never two openings in one call."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_moengage.api.endpoints import Endpoint
from airflow_provider_moengage.api.errors import MoEngageRecordInvalid
from airflow_provider_moengage.delivery.batch import Batch, Form, Item
from airflow_provider_moengage.delivery.send.packer import Packer

items = st.lists(
    st.tuples(
        st.binary(min_size=1, max_size=30),
        st.just("u"),
        st.sampled_from([Form({"users": 1}, b"[", b"]"), Form({"users": 1}, b"{{[", b"]")]),
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
        item for batch in batches for item in zip(batch.contents, batch.users, batch.forms, strict=True)
    ] == drawn
    assert [entry.position for batch in batches for entry in batch.entries] == list(range(len(drawn)))
    for batch in batches:
        assert len(batch) <= most
        assert len(batch.body) <= most_bytes
        assert len({form.opening for form in batch.forms}) == 1
        assert batch.units == {"users": len(batch)}
    assert not packer.rest()


def test_an_item_that_fits_nowhere_is_not_taken():
    packer = Packer(Endpoint("Any", "/any", "path", max_records=9, max_bytes=10))
    with pytest.raises(MoEngageRecordInvalid, match="over the 10 bytes"):
        packer.add((b"12345678901", "u", Form({})), 0, None)
    assert not packer.rest()


def batch_of(*forms: Form) -> Batch:
    batch = Batch()
    for n, form in enumerate(forms):
        batch.add(bytes([n]), f"user {n}", form, n, None)
    return batch


@given(st.integers(0, 5))
def test_what_is_cut_keeps_the_order(place: int):
    first, second = batch_of(*[Form({"users": 1})] * 5).split(place)
    assert [entry.position for entry in first.entries] == list(range(place))
    assert [entry.position for entry in second.entries] == list(range(place, 5))
    assert first.contents + second.contents == [bytes([n]) for n in range(5)]


def test_a_batch_is_cut_to_what_is_granted_of_every_quota():
    user, event = Form({"bulk_users": 1}), Form({"bulk_events": 3})
    batch = batch_of(user, event, user, event)
    assert batch.units == {"bulk_users": 2, "bulk_events": 6}
    assert batch.minimum_units == {"bulk_users": 1, "bulk_events": 1}
    assert batch.rows_within({"bulk_users": 2, "bulk_events": 6}) == 4
    assert batch.rows_within({"bulk_users": 2, "bulk_events": 5}) == 3
    assert batch.rows_within({"bulk_users": 1, "bulk_events": 6}) == 2
    assert batch.rows_within({"bulk_users": 1, "bulk_events": 2}) == 1


@given(items, st.data())
def test_the_chosen_rows_and_the_others_are_all_rows_in_their_order(drawn: list[Item], data: st.DataObject):
    batch = Batch()
    for position, item in enumerate(drawn):
        batch.add(*item, position, None)
    chosen = data.draw(st.lists(st.booleans(), min_size=len(drawn), max_size=len(drawn)))
    taken, left = batch.select(chosen)
    assert taken.positions == [position for position, one in enumerate(chosen) if one]
    assert left.positions == [position for position, one in enumerate(chosen) if not one]
    together = taken.joined(left)
    assert together.contents == [drawn[position][0] for position in together.positions]
    assert together.forms == [drawn[position][2] for position in together.positions]
