"""Packing: in order, none lost, never over the limits, never two openings in one call."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_moengage.api.endpoints import Endpoint
from airflow_provider_moengage.api.errors import MoEngageRecordInvalid
from airflow_provider_moengage.delivery.batches import Batch, Entry, Item, Packer

items = st.lists(
    st.builds(
        Item,
        st.binary(min_size=1, max_size=30),
        st.just("u"),
        st.just({"users": 1}),
        st.sampled_from([b"[", b"{{["]),
        st.just(b"]"),
    ),
    max_size=60,
)


@given(items, st.integers(1, 10), st.integers(34, 100))
def test_every_item_is_in_one_call_in_its_order_and_within_the_limits(
    drawn: list[Item], most: int, most_bytes: int
):
    packer = Packer(Endpoint("Any", "/any", "path", max_records=most, max_bytes=most_bytes))
    batches = [batch for n, item in enumerate(drawn) for batch in packer.add(item, Entry(n, None))]
    batches += packer.rest()
    assert [item for batch in batches for item in batch.items] == drawn
    assert [entry.position for batch in batches for entry in batch.entries] == list(range(len(drawn)))
    for batch in batches:
        assert len(batch.items) <= most
        assert len(batch.body) <= most_bytes
        assert len({item.opening for item in batch.items}) == 1
        assert batch.units == {"users": len(batch.items)}
    assert packer.rest() == []


def test_an_item_that_fits_nowhere_is_not_taken():
    packer = Packer(Endpoint("Any", "/any", "path", max_records=9, max_bytes=10))
    with pytest.raises(MoEngageRecordInvalid, match="over the 10 bytes"):
        packer.add(Item(b"12345678901", "u", {}), Entry(0, None))
    assert packer.rest() == []


def test_halves_keep_the_order_and_what_is_unknown():
    batch = Batch(tuple(Item(bytes([n]), "u", {}) for n in range(5)), tuple(Entry(n, None) for n in range(5)))
    first, second = batch.halves(unknown=True)
    assert [e.position for e in (*first.entries, *second.entries)] == list(range(5))
    assert first.unknown
    assert all(half.unknown for half in second.halves(unknown=False))
