"""However and whenever a run ends, the next one resumes with the right counts and the right rows."""

from __future__ import annotations

import json
from collections import Counter
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from airflow_provider_moengage.api.client import Exchange
from airflow_provider_moengage.api.errors import MoEngageRecordInvalid, MoEngageServerError
from airflow_provider_moengage.api.http.classify import Response
from airflow_provider_moengage.delivery.account.checkpoint import Checkpoint
from airflow_provider_moengage.delivery.account.ledger import Ledger
from airflow_provider_moengage.delivery.account.segments import Tally
from airflow_provider_moengage.delivery.batch import Batch, Entry, Envelope
from airflow_provider_moengage.operations.track_events import EVENTS
from tests.support.batches import add_row

ROWS = 40
EVENT = Envelope({EVENTS: 1}, idempotent=False)
ACCEPTED, DEAD = Response({}, None), MoEngageServerError("MoEngage answered 500", status=500)

#: The outcome of a row whenever it is sent: rejected by a check, or accepted, with or without a response lost before.
outcomes = st.lists(st.sampled_from(["bad", "good", "silent"]), min_size=ROWS, max_size=ROWS)
#: How an attempt ends: after how many batches, whether in order, and in which order batches settle.
attempts = st.lists(
    st.tuples(st.integers(0, ROWS), st.booleans(), st.randoms(use_true_random=False)), max_size=6
)


def batch_of(positions: list[int]) -> Batch:
    batch = Batch()
    for position in positions:
        add_row(batch, b"", "", EVENT, position, {})
    return batch


def through_json(checkpoint: Checkpoint) -> Checkpoint:
    return Checkpoint.from_json(json.loads(json.dumps(checkpoint.to_json())))


def one_attempt(
    resumed: Checkpoint | None,
    outcomes: list[str],
    batches: int,
    in_order: bool,
    chance: Any,
    lines: list[bytes],
) -> tuple[Ledger, Checkpoint]:
    """Read rows, settle some of them and return the ledger and its checkpoint; ``lines`` gets the rejected rows."""
    ledger = Ledger(resumed, keep_rejected=True)
    ledger.read = ROWS
    waiting: list[Batch] = []
    size = chance.randint(1, 4)
    taken: list[int] = []
    for position in range(ledger.low_water_mark, ROWS):
        if position in ledger.done:
            ledger.skip(position)
        elif outcomes[position] == "bad":
            ledger.reject(Entry(position, {}), MoEngageRecordInvalid("rule", "why"))
        else:
            taken.append(position)
        if len(taken) >= size or position == ROWS - 1:
            if taken:
                waiting.append(batch_of(taken))
            taken = []
            ledger.end_segment(position + 1)
    chance.shuffle(waiting)
    for batch in waiting[:batches]:
        ledger.begin(batch)
        silent = [position for position in batch.positions if outcomes[position] == "silent"]
        ledger.settle(batch, Exchange(ACCEPTED, 1 + bool(silent), bool(silent)))
    for batch in waiting[batches : batches + 1]:
        ledger.begin(batch)
        ledger.settle(batch, Exchange(DEAD, 6, unconfirmed=False))
    checkpoint, written = ledger.final_state() if in_order else ledger.state()
    lines += written
    return ledger, through_json(checkpoint)


@settings(max_examples=200, deadline=None)
@given(outcomes, attempts, st.randoms(use_true_random=False))
def test_rows_are_counted_once_over_any_attempts(outcomes, attempts, chance):
    lines: list[bytes] = []
    checkpoint = None
    for batches, in_order, order in attempts:
        ledger, checkpoint = one_attempt(checkpoint, outcomes, batches, in_order, order, lines)
        total = ledger.total()
        assert total.settled + ledger.report(0.0).to_json()["unsent"] == ROWS
        assert checkpoint.tally.settled == checkpoint.low_water_mark + sum(
            end - first for first, end in checkpoint.done
        )
        # What was written is what the checkpoint counts.
        assert len(lines) == checkpoint.tally.rejected
        assert len({json.loads(line)["position"] for line in lines}) == len(lines)
    ledger, checkpoint = one_attempt(checkpoint, outcomes, ROWS, True, chance, lines)
    report = ledger.report(0.0).to_json()
    bad = outcomes.count("bad")
    assert (report["accepted"], report["rejected"], report["unsent"]) == (ROWS - bad, bad, 0)
    assert sorted(json.loads(line)["position"] for line in lines) == [
        position for position, outcome in enumerate(outcomes) if outcome == "bad"
    ]
    assert checkpoint.low_water_mark == ROWS
    assert report["unknown"] == checkpoint.tally.unknown


def test_rows_that_got_no_response_are_unknown_once_however_often_they_are_sent():
    checkpoint = None
    for outcome in (DEAD, DEAD, ACCEPTED):
        ledger = Ledger(checkpoint)
        ledger.read = 3
        batch = batch_of([0, 1, 2])
        for position in batch.positions:
            if position in ledger.unconfirmed:
                ledger.mark_unconfirmed(position, 1)
        ledger.end_segment(3)
        ledger.begin(batch)
        ledger.settle(batch, Exchange(outcome, 6, unconfirmed=True))
        assert ledger.total().unknown == 3
        state, _ = ledger.final_state()
        checkpoint = through_json(state)
    assert checkpoint is not None
    assert (checkpoint.low_water_mark, checkpoint.tally.unknown, list(checkpoint.unconfirmed)) == (3, 3, [])


def test_what_is_in_flight_when_the_run_ends_is_unconfirmed():
    ledger = Ledger()
    ledger.read = 4
    ledger.begin(batch_of([1, 2]))
    checkpoint, _ = ledger.final_state()
    assert list(checkpoint.unconfirmed) == [(1, 3)]
    assert ledger.report(0.0).to_json()["unknown"] == 2


def test_a_checkpoint_comes_back_from_json_as_it_was():
    full = Checkpoint(
        low_water_mark=7,
        read=9,
        tally=Tally(accepted=5, rejected=2, missing=1, unknown=3, reasons=Counter(why=2)),
        parts={"part-1": 2},
        source="rows:1",
        try_number=3,
        deferred_at=1.5,
    )
    assert through_json(full) == full
