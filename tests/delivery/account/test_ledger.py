from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_moengage.api.client import Exchange
from airflow_provider_moengage.api.errors import (
    MoEngageRecordInvalid,
    MoEngageRecordRefused,
    MoEngageServerError,
    MoEngageStorageError,
)
from airflow_provider_moengage.api.http.classify import Response
from airflow_provider_moengage.delivery.account import rejected_rows as rejected
from airflow_provider_moengage.delivery.account.checkpoint import Checkpoint
from airflow_provider_moengage.delivery.account.ledger import Ledger
from airflow_provider_moengage.delivery.account.rejected_rows import RejectedParts, line_of
from airflow_provider_moengage.delivery.batch import Batch, Entry, Envelope
from airflow_provider_moengage.delivery.resume.checkpointer import Checkpointer
from airflow_provider_moengage.delivery.shape.row_codec import decoded
from airflow_provider_moengage.operations.track_events import EVENTS
from airflow_provider_moengage.operations.track_users import USERS
from tests.support.batches import add_row

ACCEPTED = Response({}, None)
DEAD = MoEngageServerError("MoEngage answered 500", status=500)


def batch(position: int = 0) -> Batch:
    batch = Batch()
    add_row(batch, b"", "", Envelope({USERS: 1}), position, {})
    return batch


def accept(ledger: Ledger, *positions: int) -> None:
    for position in positions:
        ledger.settle(batch(position), Exchange(ACCEPTED, 1, False))


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["accepted", "refused", "unsent", "invalid"]), st.integers(1, 6), st.booleans()
        )
    )
)
def test_every_row_is_in_exactly_one_class_and_requests_are_counted_once(outcomes):
    ledger = Ledger()
    for position, (outcome, requests, unanswered) in enumerate(outcomes):
        ledger.read += 1
        if outcome == "invalid":
            ledger.reject(Entry(position, {}), MoEngageRecordInvalid("rule", "why"))
        elif outcome == "accepted":
            ledger.settle(batch(position), Exchange(ACCEPTED, requests, unanswered))
        elif outcome == "refused":
            error = MoEngageRecordRefused("MoEngage answered 400", status=400, type="T")
            ledger.settle(batch(position), Exchange(error, requests, unanswered))
            ledger.reject(Entry(position, {}), error)
        else:
            ledger.settle(batch(position), Exchange(DEAD, requests, unanswered))
    report = ledger.report(0.0).to_json()
    kinds = [outcome for outcome, _, _ in outcomes]
    sent = [(requests, unanswered) for outcome, requests, unanswered in outcomes if outcome != "invalid"]
    assert report["read"] == len(outcomes)
    assert report["accepted"] == kinds.count("accepted")
    assert report["rejected"] == kinds.count("refused") + kinds.count("invalid")
    assert report["unsent"] == kinds.count("unsent")
    assert report["unknown"] == sum(unanswered for _, unanswered in sent)
    assert report["requests"] == sum(requests for requests, _ in sent)
    assert report["retried"] == sum(requests - 1 for requests, _ in sent)
    assert sum(report["reasons"].values()) == report["rejected"]


@pytest.mark.parametrize("answered", [True, False])
def test_a_batch_may_hold_rows_of_several_segments(answered: bool):
    ledger = Ledger()
    ledger.read = 6
    held = Batch()
    for position in (1, 3, 5):
        add_row(held, b"", "hot", Envelope({EVENTS: 2}), position, {})
    for end in (2, 4):
        ledger.end_segment(end)
    accept(ledger, 0, 2, 4)
    assert ledger.low_water_mark == 0
    ledger.settle(held, Exchange(ACCEPTED if answered else DEAD, 1, not answered))
    assert ledger.low_water_mark == (4 if answered else 0)
    report = ledger.report(0.0).to_json()
    assert (report["accepted"], report["unsent"], report["unknown"]) == ((6, 0, 0) if answered else (3, 3, 6))
    checkpoint, _ = ledger.final_state()
    assert [position in checkpoint.unconfirmed for position in range(6)] == [
        not answered and position % 2 == 1 for position in range(6)
    ]


def test_at_most_twenty_reasons_are_named_and_none_is_lost():
    ledger = Ledger()
    for number in range(2_000):
        ledger.read += 1
        ledger.reject(Entry(number, {}), MoEngageRecordInvalid("rule", f"reason {number}"))
    reasons = ledger.report(0.0).to_json()["reasons"]
    assert len(reasons) == 20
    assert sum(reasons.values()) == 2_000


def test_fifty_rejections_of_one_type_are_hopeless_unless_one_row_succeeds():
    error = MoEngageRecordRefused("MoEngage answered 400", status=400, type="T")
    ledger = Ledger()
    for number in range(49):
        ledger.reject(Entry(number, {}), error)
    ledger.reject(Entry(49, {}), MoEngageRecordInvalid("T", "our own rule"))
    assert ledger.hopeless is None
    ledger.reject(Entry(50, {}), error)
    assert ledger.hopeless == "T"
    ledger.settle(batch(), Exchange(ACCEPTED, 1, unconfirmed=False))
    assert ledger.hopeless is None


def test_a_rejected_row_stands_in_its_part_with_everything_that_is_needed_to_mend_it(tmp_path):
    parts = RejectedParts(str(tmp_path / "new" / "folder"), replace=False)
    parts.open()
    ledger = Ledger(keep_rejected=True)
    checkpointer = Checkpointer(ledger, parts, None, lambda: 0.0)
    error = MoEngageRecordRefused(
        "MoEngage answered 400 T",
        status=400,
        type="T",
        message="name is expected to be string",
        request_id="r1",
    )
    ledger.reject(Entry(7, {"customer_id": "a1", "name": b"x", "half": "\ud800"}), error)
    ledger.reject(Entry(8, "no row"), MoEngageRecordInvalid("row_type", "a row is of type str"))
    checkpointer.close()
    (part,) = (tmp_path / "new" / "folder").iterdir()
    lines = part.read_text().splitlines()
    assert json.loads(lines[0]) == {
        "position": 7,
        "reason": "MoEngage answered 400 T: name is expected to be string",
        "code": "T",
        "request_id": "r1",
        "row": {
            "customer_id": "a1",
            "name": {"$type": "bytes", "$value": "eA=="},
            "half": {"$type": "str", "$value": "\\ud800"},
        },
    }
    assert decoded(json.loads(lines[0])["row"]) == {"customer_id": "a1", "name": b"x", "half": "\ud800"}
    assert json.loads(lines[1])["row"] == "no row"
    assert ledger.report(0.0).to_json()["reasons"] == {
        "MoEngage answered 400 T": 1,
        "a row is of type str": 1,
    }
    assert part.stat().st_mode & 0o777 == 0o600


def test_parts_are_written_as_they_fill_and_never_torn(tmp_path, monkeypatch):
    monkeypatch.setattr(rejected, "PART_ROWS", 10)
    parts = RejectedParts(str(tmp_path), replace=False)
    parts.open()
    for number in range(25):
        parts.add([line_of({"position": number})])
    assert len(list(tmp_path.iterdir())) == 2
    parts.flush()
    names = sorted(path.name for path in tmp_path.iterdir())
    assert len(names) == 3
    assert all(name.endswith(".ndjson") for name in names)
    positions = [
        json.loads(line)["position"] for name in names for line in (tmp_path / name).read_text().splitlines()
    ]
    assert positions == list(range(25))


def test_a_retry_replaces_the_parts_of_the_attempt_before_and_nothing_else(tmp_path):
    for replace in (True, True, False):
        parts = RejectedParts(str(tmp_path), replace=replace)
        parts.open()
        parts.add([line_of({"position": 0})])
        parts.flush()
        (tmp_path / "notes.txt").write_text("mine")
    assert len(list(tmp_path.glob("part-*.ndjson"))) == 2
    assert (tmp_path / "notes.txt").exists()


def test_rows_that_could_not_be_written_are_kept_for_the_next_flush(tmp_path):
    parts = RejectedParts(str(tmp_path / "folder"), replace=False)
    parts.open()
    parts.add([line_of({"position": 0})])
    (tmp_path / "folder").rmdir()
    with pytest.raises(MoEngageStorageError, match="folder"):
        parts.flush()
    (tmp_path / "folder").mkdir()
    parts.flush()
    assert len(list((tmp_path / "folder").iterdir())) == 1


def test_parts_of_an_earlier_attempt_are_cut_to_the_lines_that_are_known(tmp_path):
    first = RejectedParts(str(tmp_path), replace=True)
    first.open()
    first.add(line_of({"position": number}) for number in range(3))
    first.flush()
    known = dict(first.written)
    first.add(line_of({"position": number}) for number in range(3, 5))
    first.flush()
    second = RejectedParts(str(tmp_path), replace=True)
    second.open(known)
    second.add([line_of({"position": 3})])
    second.flush()
    lines = [line for path in tmp_path.iterdir() for line in path.read_text().splitlines()]
    assert sorted(json.loads(line)["position"] for line in lines) == [0, 1, 2, 3]
    assert sum(second.written.values()) == 4


def test_attributes_left_out_are_counted_with_the_rows_that_were_sent():
    ledger = Ledger()
    ledger.read = 4
    too_long, reserved = ("bio", "too long"), ("status", "reserved")
    for position, dropped in enumerate([(too_long,), (too_long, reserved), (reserved,), (too_long,)]):
        ledger.drop(position, dropped)
    accept(ledger, 0, 1)
    ledger.reject(Entry(2, {}), MoEngageRecordInvalid("code", "refused by MoEngage"))
    assert ledger.report(0.0).to_json()["dropped"] == {"bio": {"too long": 2}, "status": {"reserved": 1}}


def test_a_checkpoint_keeps_what_rows_were_sent_without():
    ledger = Ledger()
    ledger.read = 2
    ledger.drop(0, [("bio", "too long")])
    accept(ledger, 0, 1)
    ledger.end_segment(2)
    saved = json.loads(json.dumps(ledger.final_state()[0].to_json()))
    assert Ledger(Checkpoint.from_json(saved)).report(0.0).dropped == {"bio": {"too long": 1}}


def test_a_report_names_twenty_attributes_and_counts_the_rest_together():
    ledger = Ledger()
    ledger.read = 3000
    for position in range(3000):
        ledger.drop(position, [(f"name-{position}", "too long"), ("bio", "too long")])
    accept(ledger, *range(3000))
    ledger.end_segment(3000)
    dropped = ledger.report(0.0).to_json()["dropped"]
    assert dropped["bio"] == {"too long": 3000}
    assert dropped["other attributes"] == {"other reasons": 3000 - 18}
    assert sum(len(reasons) for reasons in dropped.values()) == 20


@pytest.mark.parametrize("waiting", [False, True])
def test_ten_rejections_are_logged_whatever_waits(waiting: bool, caplog: pytest.LogCaptureFixture):
    caplog.set_level("WARNING")
    ledger = Ledger()
    first = 1 if waiting else 0
    # Row 0 is never settled, so no segment after it is retired.
    for position in range(first, 1_000):
        if position % 10 == 0:
            ledger.end_segment(position)
        ledger.reject(Entry(position, {}), MoEngageRecordInvalid("rule", "why"))
    assert sum("rejected" in record.getMessage() for record in caplog.records) == 10


def test_a_part_ends_before_long_lines_fill_the_memory(tmp_path, monkeypatch):
    monkeypatch.setattr(rejected, "PART_BYTES", 1_000)
    parts = RejectedParts(str(tmp_path), replace=True)
    parts.open()
    parts.add([b"x" * 400 + b"\n"] * 7)
    parts.flush()
    assert sorted(path.stat().st_size for path in tmp_path.iterdir()) == [401, 1203, 1203]
