"""A try that fails, and the next one that goes on where it was."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_moengage.delivery.resume import checkpoint_store as checkpoints
from airflow_provider_moengage.exceptions import MoEngageIncompleteRun, MoEngageTaskFailed
from airflow_provider_moengage.hooks.moengage import MoEngageHook
from airflow_provider_moengage.operators.bulk import MoEngageBulkImportOperator
from airflow_provider_moengage.operators.events import MoEngageTrackEventsOperator
from airflow_provider_moengage.operators.users import (
    MoEngageDeleteUsersOperator,
    MoEngageGetUsersOperator,
    MoEngageMergeUsersOperator,
    MoEngageTrackUsersOperator,
)
from airflow_provider_moengage.sandbox import Sandbox
from tests.end_to_end.rows import refused, users
from tests.end_to_end.tries import Task
from tests.support.task_state_store import TaskStateStore

KEY = checkpoints.CHECKPOINT_KEY
BROKEN = {"kind": "status", "status": 500}


@pytest.fixture
def sandbox(moengage_sandbox_connection: Sandbox, monkeypatch: pytest.MonkeyPatch) -> Sandbox:
    monkeypatch.setattr("airflow_provider_moengage.api.client.FIRST_BACKOFF", 0.001)
    monkeypatch.setattr(MoEngageHook, "segment_rows", 10)
    moengage_sandbox_connection.settings(users_per_minute=1_000_000, events_per_minute=1_000_000)
    return moengage_sandbox_connection


@pytest.fixture
def store() -> TaskStateStore:
    return TaskStateStore()


class Recorder(TaskStateStore):
    """Remembers every state that a process killed at that moment would leave behind."""

    def __init__(self, store: TaskStateStore, folder: Path | None = None) -> None:
        super().__init__()
        self.store = store
        self.seen: list[tuple[dict[str, Any], dict[str, bytes]]] = []
        self._folder = folder

    def set(self, key: str, value: Any) -> None:
        super().set(key, value)
        if "checkpoint" not in value:
            return
        files = {str(path): path.read_bytes() for path in self._files()}
        self.seen.append((json.loads(json.dumps(value)), files))

    def restore(self, value: dict[str, Any], files: dict[str, bytes] | None = None) -> None:
        """Put everything back as it was."""
        self.store.set(KEY, value)
        for path in self._files():
            path.unlink()
        for name, content in (files or {}).items():
            Path(name).write_bytes(content)

    def _files(self) -> list[Path]:
        found = self._folder.rglob("*") if self._folder is not None else ()
        return [path for path in found if path.is_file()]


def orders(count: int) -> list[dict[str, Any]]:
    return [
        {"customer_id": f"user-{n}", "action": "Order placed", "event_time": 1_700_000_000 + n, "number": n}
        for n in range(count)
    ]


def numbers(sandbox: Sandbox) -> list[int]:
    return sorted(event["attributes"]["number"] for event in sandbox.events())


def updates(sandbox: Sandbox) -> dict[str, int]:
    return {customer_id: len(user["history"]) for customer_id, user in sandbox.users().items()}


def test_a_retry_sends_what_is_left_and_counts_all(sandbox: Sandbox, store: TaskStateStore):
    task = Task(MoEngageTrackUsersOperator, store, users=users(100), concurrency=4)
    sandbox.fault(**BROKEN, customer_id="user-50")
    assert isinstance(task.fails(), MoEngageIncompleteRun)
    first = task.report
    assert 0 < first["accepted"] < 100
    assert first["unsent"] == 100 - first["accepted"]
    sandbox.clear_faults()
    before = sandbox.state()["requests"]
    report = task.attempt()
    assert (report["read"], report["accepted"], report["unsent"]) == (100, 100, 0)
    # The order of its end was kept: not one row is sent twice that was not in doubt.
    assert report["requests"] == 100 - first["accepted"] == sandbox.state()["requests"] - before
    assert set(updates(sandbox).values()) == {1}
    assert store.get(KEY) is None


def test_what_is_kept_is_written_after_every_segment_and_a_crash_costs_no_more(
    sandbox: Sandbox, store: TaskStateStore, tmp_path: Path
):
    """Whatever state a killed process leaves behind, its retry ends with the right counts and files."""
    rows = users(95) + [{"customer_id": "unknown"}] * 5
    rows[::7] = [{"customer_id": "null", "number": n} for n in range(len(rows[::7]))]
    bad = [position for position, row in enumerate(rows) if row["customer_id"] in ("unknown", "null")]
    states = Recorder(store, tmp_path / "rejected")
    common = {
        "users": rows,
        "max_rejected": 50,
        "rejected_path": str(tmp_path / "rejected"),
        "concurrency": 1,
    }
    report = Task(MoEngageTrackUsersOperator, states, **common).attempt()
    assert report["rejected"] == len(bad)
    assert len(states.seen) >= 10
    for number, (value, folder) in enumerate(states.seen):
        # The files may be those of the next checkpoint: they are written before it.
        for files in (folder, states.seen[min(number + 1, len(states.seen) - 1)][1]):
            states.restore(value, files)
            task = Task(MoEngageTrackUsersOperator, states.store, **common)
            task.try_number = 1
            report = task.attempt()
            assert (report["read"], report["rejected"], report["unsent"]) == (100, len(bad), 0)
            assert sum(report["reasons"].values()) == len(bad)
            assert [line["position"] for line in refused(tmp_path / "rejected")] == bad
            left = 100 - value["checkpoint"]["mark"]
            assert report["requests"] <= left


def test_events_in_doubt_are_counted_and_sent_again_or_refused(sandbox: Sandbox, store: TaskStateStore):
    for on_unknown in ("resend", "reject"):
        sandbox.reset()
        states = Recorder(store)
        common = {"events": orders(60), "concurrency": 1, "on_unknown": on_unknown, "max_rejected": 60}
        Task(MoEngageTrackEventsOperator, states, **common).attempt()
        for value, _ in states.seen:
            checkpoint = value["checkpoint"]
            first, end = checkpoint["doubt"][0] if checkpoint["doubt"] else (0, 0)
            doubtful = len(range(max(first, checkpoint["mark"]), min(end, 60)))
            sandbox.reset()
            states.restore(value)
            task = Task(MoEngageTrackEventsOperator, states.store, **common)
            task.try_number = 1
            report = task.attempt()
            rejected = doubtful if on_unknown == "reject" else 0
            assert (report["unknown"], report["rejected"]) == (doubtful, rejected)
            assert report["accepted"] == 60 - rejected
            sent = set(range(checkpoint["mark"], 60))
            for done in checkpoint["done"]:
                sent -= set(range(*done))
            sent -= set(range(first, end)) if on_unknown == "reject" else set()
            assert numbers(sandbox) == sorted(sent)


def test_an_event_is_never_sent_before_it_is_reserved(sandbox: Sandbox, store: TaskStateStore):
    sent: list[int] = []
    reserved: list[int] = []

    class Watching(TaskStateStore):
        def set(self, key: str, value: Any) -> None:
            if "checkpoint" not in value:
                return
            sent.append(len(sandbox.events()))
            reserved.append(
                max(value["checkpoint"]["mark"], *(end for _, end in value["checkpoint"]["doubt"]), 0)
            )
            super().set(key, value)

    Task(MoEngageTrackEventsOperator, Watching(), events=orders(100)).attempt()
    assert sent[0] == 0
    assert all(now <= before for now, before in zip(sent[1:], reserved, strict=False))


def test_a_retry_of_events_after_an_orderly_end_doubles_none(sandbox: Sandbox, store: TaskStateStore):
    sandbox.fault(**BROKEN, customer_id="user-70")
    task = Task(MoEngageTrackEventsOperator, store, events=orders(100), concurrency=8)
    task.fails()
    sandbox.clear_faults()
    report = task.attempt()
    assert (report["accepted"], report["unknown"]) == (100, 0)
    assert numbers(sandbox) == list(range(100))


@pytest.mark.parametrize("in_store", [True, False], ids=["state store", "a file"])
def test_events_are_not_sent_anew_by_a_try_after_the_end(sandbox: Sandbox, tmp_path: Path, in_store: bool):
    """A process may be killed when all is done, and before Airflow has recorded it."""
    store = TaskStateStore() if in_store else None
    task = Task(MoEngageTrackEventsOperator, store, events=orders(30), staging_path=tmp_path.as_uri())
    first = task.attempt()
    again = task.attempt()
    assert again == task.report
    assert {name: again[name] for name in ("read", "accepted", "unsent")} == {
        name: first[name] for name in ("read", "accepted", "unsent")
    }
    assert again["requests"] == 0
    assert numbers(sandbox) == list(range(30))
    task.clear()
    assert task.attempt()["requests"] == 30


def test_times_and_requests_are_of_the_try_and_rows_of_all_tries(sandbox: Sandbox, store: TaskStateStore):
    task = Task(MoEngageTrackUsersOperator, store, users=users(30), concurrency=1)
    sandbox.fault(**BROKEN, customer_id="user-20")
    task.fails()
    assert (task.report["requests"], task.report["retried"]) == (26, 5)
    task.fails()
    assert (task.report["accepted"], task.report["requests"], task.report["retried"]) == (20, 6, 5)
    sandbox.clear_faults()
    report = task.attempt()
    assert (report["read"], report["accepted"], report["requests"], report["retried"]) == (30, 30, 10, 0)


def test_rows_that_cannot_be_written_down_are_known_all_the_same(sandbox: Sandbox, store: TaskStateStore):
    endless: dict[str, Any] = {}
    for _ in range(100_000):
        endless = {"a": endless}
    rows = [*users(5), {"customer_id": 10**5_000}, {"customer_id": "user-9", "box": endless}]
    task = Task(MoEngageTrackUsersOperator, store, users=rows, max_rejected=2, concurrency=1)
    # The copy that each try gets would be as deep.
    task.deep = False
    sandbox.fault(**BROKEN, customer_id="user-3")
    task.fails()
    sandbox.clear_faults()
    report = task.attempt()
    assert (report["accepted"], report["rejected"], report["requests"]) == (5, 2, 2)


def test_a_cleared_task_sends_everything_again(sandbox: Sandbox, store: TaskStateStore):
    task = Task(MoEngageTrackUsersOperator, store, users=users(30))
    sandbox.fault(**BROKEN, customer_id="user-20")
    task.fails()
    sandbox.clear_faults()
    task.clear()
    assert task.attempt()["requests"] == 30
    task.clear()
    assert task.attempt()["requests"] == 30


@pytest.mark.parametrize(
    "change",
    [{"attributes": ["number"]}, {"id_column": "customer_id", "nulls": "send"}, {"users": users(29)}],
    ids=["columns", "nulls", "rows"],
)
def test_other_arguments_or_rows_begin_anew(
    sandbox: Sandbox, store: TaskStateStore, change: dict[str, Any], caplog: pytest.LogCaptureFixture
):
    task = Task(MoEngageTrackUsersOperator, store, users=users(30))
    sandbox.fault(**BROKEN, customer_id="user-20")
    task.fails()
    sandbox.clear_faults()
    report = task.attempt(**change)
    assert report["requests"] == report["accepted"] == report["read"]
    assert "have changed since" in caplog.text


def test_tuning_may_change_between_tries(sandbox: Sandbox, store: TaskStateStore, tmp_path: Path):
    task = Task(MoEngageTrackUsersOperator, store, users=users(30), concurrency=1)
    sandbox.fault(**BROKEN, customer_id="user-20")
    task.fails()
    sandbox.clear_faults()
    report = task.attempt(concurrency=3, max_rejected=2, rejected_path=str(tmp_path), defer_threshold=1)
    assert report["requests"] == 10


@pytest.mark.parametrize(
    "damage",
    [
        lambda value: {**value, "version": 999},
        lambda value: {**value, "checkpoint": {"mark": "x"}},
        lambda value: {**value, "checkpoint": None},
        lambda value: {"max_tries": value["max_tries"]},
        lambda value: "something else",
    ],
    ids=["another version", "other fields", "nothing", "half of it", "a text"],
)
def test_a_checkpoint_that_cannot_be_understood_begins_anew_and_stops_events(
    sandbox: Sandbox, store: TaskStateStore, damage: Any, caplog: pytest.LogCaptureFixture
):
    for operator, rows in ((MoEngageTrackUsersOperator, "users"), (MoEngageTrackEventsOperator, "events")):
        task = Task(operator, store, **{rows: orders(30)})
        if rows == "users":
            task.parameters["attributes"] = ["number"]
        sandbox.fault(**BROKEN, customer_id="user-20")
        task.fails()
        sandbox.clear_faults()
        store.set(KEY, damage(store.get(KEY)))
        before = sandbox.state()["requests"]
        if rows == "users":
            assert task.attempt()["requests"] == 30
            assert "cannot be resumed" in caplog.text
        else:
            error = task.fails()
            assert isinstance(error, MoEngageTaskFailed)
            assert "on_restart='resend'" in str(error)
            assert sandbox.state()["requests"] == before
            assert task.attempt(on_restart="resend")["accepted"] == 30


class Unreachable(TaskStateStore):
    """A store that does not answer, from a moment on."""

    def __init__(self, answers: int = 0) -> None:
        super().__init__()
        self.answers = answers

    def get(self, key: str, default: Any = None) -> Any:
        self._answer()
        return super().get(key, default)

    def set(self, key: str, value: Any) -> None:
        self._answer()
        super().set(key, value)

    def _answer(self) -> None:
        self.answers -= 1
        if self.answers < 0:
            raise ConnectionError("no answer")


def test_a_store_that_cannot_be_read_sends_nothing(sandbox: Sandbox):
    store = Unreachable()
    task = Task(MoEngageTrackUsersOperator, store, users=users(30))
    error = task.fails()
    assert isinstance(error, MoEngageIncompleteRun)
    assert "task state store cannot be read" in str(error)
    assert task.report["unsent"] == 30
    assert sandbox.state()["requests"] == 0


def test_a_try_that_does_not_come_to_its_rows_leaves_the_checkpoint_as_it_was(
    sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
):
    store = Unreachable(answers=1_000)
    task = Task(MoEngageTrackEventsOperator, store, events=orders(30), concurrency=1)
    sandbox.fault(**BROKEN, customer_id="user-20")
    task.fails()
    sandbox.clear_faults()
    store.answers = 0
    task.fails()
    store.answers = 1_000
    with monkeypatch.context() as patch:
        patch.setenv("AIRFLOW_CONN_MOENGAGE_DEFAULT", '{"conn_type": "moengage", "login": "W"}')
        task.fails()
    report = task.attempt()
    assert (report["accepted"], report["unknown"], report["requests"]) == (30, 0, 10)
    assert numbers(sandbox) == list(range(30))


def test_a_store_that_is_gone_while_users_are_sent_costs_one_warning(
    sandbox: Sandbox, caplog: pytest.LogCaptureFixture
):
    task = Task(MoEngageTrackUsersOperator, Unreachable(answers=3), users=users(100))
    assert task.attempt()["accepted"] == 100
    assert caplog.text.count("the run continues") == 1


def test_a_store_that_is_gone_while_events_are_sent_stops_before_the_next_of_them(sandbox: Sandbox):
    store = Unreachable(answers=4)
    task = Task(MoEngageTrackEventsOperator, store, events=orders(200), concurrency=1)
    error = task.fails()
    assert isinstance(error, MoEngageIncompleteRun)
    assert "cannot be written" in str(error)
    sent = numbers(sandbox)
    assert task.report["accepted"] == len(sent) < 200
    store.answers = 1_000
    report = task.attempt()
    assert report["accepted"] == 200
    doubled = len(numbers(sandbox)) - 200
    assert doubled <= report["unknown"]


def test_without_durable_everything_is_sent_again(sandbox: Sandbox, store: TaskStateStore):
    task = Task(MoEngageTrackUsersOperator, store, users=users(30), durable=False, concurrency=1)
    sandbox.fault(**BROKEN, customer_id="user-20")
    task.fails()
    assert store.get(KEY) is None
    sandbox.clear_faults()
    assert task.attempt()["requests"] == 30


def test_without_a_place_for_a_checkpoint_the_log_says_what_a_retry_does(
    sandbox: Sandbox, caplog: pytest.LogCaptureFixture
):
    caplog.set_level(logging.INFO)
    Task(MoEngageTrackUsersOperator, users=users(3)).attempt()
    assert (
        "A retry begins with the first row again, because there is no place for a checkpoint" in caplog.text
    )
    caplog.clear()
    Task(MoEngageTrackEventsOperator, events=orders(3)).attempt()
    assert "A retry fails before it sends an event, because there is no place" in caplog.text


def test_events_without_a_place_for_a_checkpoint_are_not_sent_by_a_second_try(sandbox: Sandbox):
    task = Task(MoEngageTrackEventsOperator, events=orders(30), concurrency=1)
    sandbox.fault(**BROKEN, customer_id="user-20")
    task.fails()
    sandbox.clear_faults()
    assert isinstance(task.fails(), MoEngageTaskFailed)
    assert len(numbers(sandbox)) == 20
    task.clear()
    assert task.attempt()["accepted"] == 30
    sandbox.reset()
    task.try_number += 1
    assert task.attempt(on_restart="resend")["accepted"] == 30


def test_elements_without_events_are_sent_again_and_events_among_them_are_not(sandbox: Sandbox):
    customers = [{"type": "customer", "customer_id": f"user-{n}", "attributes": {"n": n}} for n in range(3)]
    task = Task(MoEngageBulkImportOperator, elements=customers)
    task.try_number = 1
    assert task.attempt()["accepted"] == 3
    event = {
        "type": "event",
        "customer_id": "user-1",
        "actions": [{"action": "Seen", "attributes": {}, "current_time": 1_700_000_000}],
    }
    task = Task(MoEngageBulkImportOperator, elements=[*customers, event])
    task.try_number = 1
    assert isinstance(task.fails(), MoEngageTaskFailed)
    assert sandbox.events() == []


def test_files_that_have_not_changed_are_gone_on_with_and_others_are_read_anew(
    sandbox: Sandbox, store: TaskStateStore, tmp_path: Path
):
    for number in range(3):
        lines = [f"user-{n},{n}" for n in range(10 * number, 10 * number + 10)]
        (tmp_path / f"{number}.csv").write_text("\n".join(["customer_id,number", *lines]))
    task = Task(MoEngageTrackUsersOperator, store, path=str(tmp_path), concurrency=1)
    sandbox.fault(**BROKEN, customer_id="user-20")
    task.fails()
    sandbox.clear_faults()
    assert task.attempt()["requests"] == 10
    sandbox.fault(**BROKEN, customer_id="user-20")
    task.clear()
    task.fails()
    sandbox.clear_faults()
    (tmp_path / "2.csv").write_text("customer_id,number\nuser-99,99")
    assert task.attempt()["requests"] == 21


def test_a_chain_of_merges_over_two_tries_is_seen(sandbox: Sandbox, store: TaskStateStore):
    pairs = [{"merged_user": f"old-{n}", "retained_user": f"new-{n}"} for n in range(120)]
    # Row 110 merges into a user that row 0 merged away.
    pairs[110] = {"merged_user": "another", "retained_user": "old-0"}
    task = Task(MoEngageMergeUsersOperator, store, pairs=pairs, concurrency=1, max_rejected=1)
    sandbox.settings(merge_users_per_minute=1_000_000)
    states = Recorder(store)
    task.store = states
    task.attempt()
    half = next(value for value, _ in states.seen if 50 <= value["checkpoint"]["mark"] < 110)
    states.restore(half)
    again = Task(MoEngageMergeUsersOperator, states.store, pairs=pairs, concurrency=1, max_rejected=1)
    again.try_number = 1
    report = again.attempt()
    assert (report["accepted"], report["rejected"]) == (119, 1)


def test_deletions_go_on_too(sandbox: Sandbox, store: TaskStateStore):
    sandbox.settings(delete_users_per_minute=1_000_000)
    task = Task(MoEngageDeleteUsersOperator, store, users=users(30), concurrency=1)
    sandbox.fault(**BROKEN, customer_id="user-20")
    task.fails()
    sandbox.clear_faults()
    report = task.attempt()
    assert (report["accepted"], report["requests"]) == (30, 10)


def test_users_are_read_back_from_the_first_one_on(sandbox: Sandbox, store: TaskStateStore):
    task = Task(MoEngageGetUsersOperator, store, users=[f"user-{n}" for n in range(30)])
    task.attempt()
    assert store.get(KEY) is None


def test_a_folder_of_rejected_rows_that_fails_for_one_try_loses_none(sandbox: Sandbox, tmp_path: Path):
    folder = tmp_path / "rejected"
    rows = [{"customer_id": "" if n in (3, 90) else f"user-{n}"} for n in range(100)]
    task = Task(
        MoEngageTrackUsersOperator,
        TaskStateStore(),
        users=rows,
        concurrency=1,
        max_rejected=2,
        rejected_path=str(folder),
    )
    sandbox.fault(kind="status", status=500, customer_id="user-50")
    task.fails()
    sandbox.clear_faults()
    parts = sorted(folder.rglob("part-*"))
    assert [json.loads(line)["position"] for part in parts for line in part.read_text().splitlines()] == [3]
    # A file stands where the folder was: it cannot be made.
    (own,) = {part.parent for part in parts}
    own.rename(tmp_path / "aside")
    own.write_text("")
    assert isinstance(task.fails(), MoEngageIncompleteRun)
    own.unlink()
    (tmp_path / "aside").rename(own)
    report = task.attempt()
    assert (report["accepted"], report["rejected"]) == (98, 2)
    lines = [line for part in folder.rglob("part-*") for line in part.read_text().splitlines()]
    assert sorted(json.loads(line)["position"] for line in lines) == [3, 90]
