"""Held rows: each user's in their order, in batches as large as one request may be."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_moengage.delivery.batch import Batch, Envelope
from airflow_provider_moengage.delivery.send.held_rows import HeldRows
from airflow_provider_moengage.operations.track_users import USERS
from tests.support.batches import add_row

ENVELOPES = Envelope({USERS: 1}, b"[", b"]"), Envelope({USERS: 1}, b"{{[", b"]}}")

rows = st.lists(st.tuples(st.sampled_from("abcd"), st.binary(max_size=9)), min_size=1, max_size=4)
added = st.tuples(st.just("add"), rows, st.sampled_from(ENVELOPES))
ended = st.tuples(st.just("end"), st.integers(0, 5))
taken = st.tuples(st.just("take"))


@given(st.lists(st.one_of(added, ended, taken), max_size=40))
def test_rows_leave_in_the_order_of_their_user_and_within_the_limits(steps):
    held, read, in_flight = HeldRows(), Batch(), list[Batch]()
    submitted: list[Batch] = []
    sent: dict[str, list[int]] = {}

    def users() -> set[str]:
        return {user for one in in_flight for user in one.ids}

    def send(one: Batch | None) -> None:
        if not one:
            return
        assert users().isdisjoint(one.ids)
        assert one.positions == sorted(one.positions)
        assert len(set(one.envelopes)) == 1
        assert len(one) <= max(map(len, submitted))
        assert len(one.body) <= max(other.size for other in submitted)
        in_flight.append(one)
        for user, position in zip(one.users, one.positions, strict=True):
            sent.setdefault(user, []).append(position)

    for step, *drawn in steps:
        if step == "add":
            batch = Batch()
            for user, content in drawn[0]:
                for one in (batch, read):
                    add_row(one, content, user, drawn[1], len(read), None)
            submitted.append(batch)
            send(held.add(batch, users()))
        elif step == "take":
            send(held.take(users()))
        elif in_flight:
            del in_flight[drawn[0] % len(in_flight)]
    while held.users:
        in_flight.clear()
        send(held.take(users()))
    assert held.take(users()) is None
    expected: dict[str, list[int]] = {}
    for user, position in zip(read.users, read.positions, strict=True):
        expected.setdefault(user, []).append(position)
    assert sent == expected


def test_it_is_full_once_it_holds_as_many_rows_or_bytes_as_so_many_batches():
    def batch(*sizes: int) -> Batch:
        batch = Batch()
        for position, size in enumerate(sizes):
            add_row(batch, b"x" * size, "hot", ENVELOPES[0], position, None)
        return batch

    by_rows, by_bytes = HeldRows(), HeldRows()
    assert not by_rows.is_full(2)
    by_rows.add(batch(1, 1), {"hot"})
    by_rows.add(batch(1), {"hot"})
    assert not by_rows.is_full(2)
    by_rows.add(batch(1), {"hot"})
    assert by_rows.is_full(2)
    by_bytes.add(batch(10, 10, 10), {"hot"})
    by_bytes.add(batch(50), {"hot"})
    assert not by_bytes.is_full(2)
    by_bytes.add(batch(50), {"hot"})
    assert by_bytes.is_full(2)
