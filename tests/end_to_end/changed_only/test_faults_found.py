"""Kills, damage and other runs at the worst moments: what MoEngage has is never taken for what it had before."""

from __future__ import annotations

import json
import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_moengage.delivery.changes import journal, snapshot_store
from airflow_provider_moengage.delivery.changes.changed_rows import ChangedRows
from airflow_provider_moengage.delivery.changes.journal import Journal
from airflow_provider_moengage.delivery.changes.snapshot_store import SnapshotStore
from airflow_provider_moengage.hooks.moengage import MoEngageHook
from airflow_provider_moengage.operators.users import MoEngageTrackUsersOperator
from tests.end_to_end.tracker import Tracker
from tests.end_to_end.tries import Task
from tests.support.task_state_store import TaskStateStore

#: Seconds; far more than any of the runs takes.
AT_MOST = 60.0


class Runs:
    """The runs of a DAG whose task sends changed users, one request after another."""

    def __init__(self, track: Tracker, folder: Path) -> None:
        self.sandbox = track.sandbox
        self.folder = folder
        self.url = f"file://{folder}/snapshots"
        self._number = 0

    @property
    def snapshots(self) -> Path:
        return self.folder / "snapshots" / "dag" / "push"

    def task(self, users: list[dict[str, Any]] | None = None, **parameters: Any) -> Task:
        """Return the task of the next run."""
        self._number += 1
        if users is not None:
            parameters["users"] = users
        task = Task(
            MoEngageTrackUsersOperator,
            TaskStateStore(self.folder / f"state-{self._number}.json"),
            run_id=f"manual__2026-01-{self._number:02d}T00:00:00+00:00",
            changed_only=True,
            snapshot_path=self.url,
            concurrency=1,
            **parameters,
        )
        task.deep = False
        return task

    def run(self, users: list[dict[str, Any]], **parameters: Any) -> dict[str, Any]:
        """Run the next run to its end; the sandbox then has what its rows say."""
        report = self.task(users, **parameters).attempt()
        self.has(users)
        return report

    def has(self, users: list[dict[str, Any]]) -> None:
        stored = self.sandbox.users()
        assert {row["customer_id"]: row["plan"] for row in users} == {
            row["customer_id"]: stored[row["customer_id"]]["attributes"].get("plan") for row in users
        }

    def age(self) -> None:
        """Let a quarter of an hour pass for all attempts that have not ended."""
        for path in self.snapshots.glob("attempt-*.json"):
            fields = json.loads(path.read_bytes())
            path.write_text(json.dumps({**fields, "heard": fields["heard"] - snapshot_store.GONE_AFTER - 1}))

    def stopped_at(self, task: Task, customer_id: str) -> None:
        """Begin a try during which MoEngage does not serve a customer."""
        self.sandbox.fault(kind="status", status=503, customer_id=customer_id)
        task.fails()
        self.sandbox.clear_faults()


@pytest.fixture
def runs(track: Tracker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Runs:
    monkeypatch.setattr(MoEngageHook, "segment_rows", 1)
    return Runs(track, tmp_path)


def users(plan: str, *names: str) -> list[dict[str, Any]]:
    return [{"customer_id": name, "plan": plan} for name in names or [f"u{number}" for number in range(8)]]


def killed(task: Task, method: str, *, call: int = 1, after: bool = True) -> None:
    """Begin a try in a process that is killed at a call of one of the methods of :class:`ChangedRows`."""
    child = os.fork()
    if not child:
        called, original = 0, getattr(ChangedRows, method)

        def call_and_die(*arguments: Any, **more: Any) -> Any:
            nonlocal called
            called += 1
            if called == call and not after:
                os.kill(os.getpid(), signal.SIGKILL)
            result = original(*arguments, **more)
            if called == call:
                os.kill(os.getpid(), signal.SIGKILL)
            return result

        setattr(ChangedRows, method, call_and_die)
        try:
            task.attempt()
        finally:
            os._exit(0)
    assert os.waitpid(child, 0)[1] == signal.SIGKILL
    task.try_number += 1


def killed_after(task: Task, sent: int) -> None:
    """Begin a try that is killed after so many of its requests, before the last of them is settled."""
    killed(task, "record", call=sent)


@contextmanager
def before_the_first_request(monkeypatch: pytest.MonkeyPatch, act: Callable[[], None]) -> Iterator[None]:
    """Act once a run has opened the snapshot, before it announces itself."""
    original = ChangedRows.announce
    with monkeypatch.context() as patch:

        def announce(self: ChangedRows) -> None:
            patch.setattr(ChangedRows, "announce", original)
            act()
            original(self)

        patch.setattr(ChangedRows, "announce", announce)
        yield


def flip(content: bytes, place: int) -> bytes:
    return content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :]


@pytest.mark.parametrize(
    "damage",
    [
        lambda content: b"",
        lambda content: content[: len(content) // 2],
        lambda content: content[:-3],
        lambda content: flip(content, 5),
        lambda content: flip(content, len(content) - 12),
        None,
    ],
    ids=["emptied", "cut", "last bytes cut", "bit flipped", "another bit flipped", "deleted"],
)
def test_a_journal_that_is_damaged_is_not_used(runs: Runs, damage: Callable[[bytes], bytes] | None):
    runs.run(users("a"))
    task = runs.task(users("b"))
    killed_after(task, 6)
    for part in runs.snapshots.glob("part-*"):
        part.unlink() if damage is None else part.write_bytes(damage(part.read_bytes()))
    task.attempt()
    runs.has(users("b"))
    runs.run(users("a"))


def test_of_a_journal_with_a_missing_part_nothing_is_used(runs: Runs):
    runs.run(users("a"))
    task = runs.task([*users("b", "u1", "u2"), *users("c", "u1", "u2", "u3", "u4", "u5")])
    killed_after(task, 6)
    parts = sorted(runs.snapshots.glob("part-*"))
    parts[1].unlink()
    task.attempt()
    runs.run(users("b", "u1"))


def test_a_journal_that_cannot_be_read_now_stays_for_the_next_try(
    runs: Runs, monkeypatch: pytest.MonkeyPatch
):
    runs.run(users("a"))
    task = runs.task(users("b"))
    killed(task, "write", after=False)
    with monkeypatch.context() as patch:
        read, calls = snapshot_store.read_whole, 0

        def read_some(path: Any) -> bytes | None:
            nonlocal calls
            calls += "part-" in str(path)
            if "part-" in str(path) and calls > 1:
                raise OSError("the store is not reachable")
            return read(path)

        patch.setattr(snapshot_store, "read_whole", read_some)
        assert "cannot be read; nothing was sent" in str(task.fails())
    task.attempt()
    runs.has(users("b"))
    runs.run(users("a"))


def test_what_prevents_a_run_is_said_although_there_is_a_snapshot(runs: Runs):
    runs.run(users("a"))
    assert "nowhere" in str(runs.task(path=f"file://{runs.folder}/nowhere.ndjson").fails())
    assert runs.run(users("a"))["unchanged"] == 8


def test_a_removal_whose_process_was_killed_is_undone_when_the_user_is_back(runs: Runs):
    more = {"on_removed": "unset", "removed_attributes": ["plan"], "max_removed": 1}
    runs.run(users("a"), **more)
    killed(runs.task(users("a")[1:], **more), "write", after=False)
    assert "plan" not in runs.sandbox.users()["u0"]["attributes"]
    runs.run(users("a"), **more)


def test_what_another_run_may_have_sent_since_a_killed_try_is_not_taken_for_known(runs: Runs):
    runs.run(users("a"))
    task = runs.task(users("b"))
    killed_after(task, 4)
    killed_after(runs.task(users("c")), 4)
    runs.age()
    task.attempt()
    assert runs.sandbox.users()["u0"]["attributes"]["plan"] == "c"
    runs.run(users("b"))


def test_what_another_run_has_sent_between_two_kills_is_not_taken_for_older(runs: Runs):
    runs.run(users("a"))
    task = runs.task(users("b"))
    killed_after(task, 4)
    runs.run(users("c"))
    killed_after(task, 2)
    task.attempt()
    assert runs.sandbox.users()["u0"]["attributes"]["plan"] == "c"
    runs.run(users("b"))


def test_a_user_whose_second_row_a_killed_try_sent_is_sent_again(runs: Runs, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(MoEngageHook, "segment_rows", 500)
    runs.run(users("a", "u1"))
    task = runs.task([*users("a", "u1"), *users("a", "new"), *users("b", "u1")])
    killed_after(task, 2)
    assert runs.sandbox.users()["u1"]["attributes"]["plan"] == "b"
    runs.stopped_at(task, "new")
    runs.run(users("a", "u1"))


def test_a_run_that_began_before_a_killed_one_does_not_make_it_forgotten(
    runs: Runs, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(MoEngageHook, "segment_rows", 500)
    runs.run(users("a", "u1", "u2"))
    first, second = runs.task([*users("b", "new"), *users("a", "u1")]), runs.task(users("b", "u2", "u1"))
    with before_the_first_request(monkeypatch, lambda: killed_after(second, 2)):
        first.attempt()
    assert runs.sandbox.users()["u1"]["attributes"]["plan"] == "b"
    runs.stopped_at(second, "u2")
    runs.run(users("a", "u1", "u2"))


def test_three_runs_that_end_at_once_do_not_forget_what_one_of_them_sent(
    runs: Runs, monkeypatch: pytest.MonkeyPatch
):
    runs.run(users("a", "u1"))
    opened = {name: threading.Event() for name in ("p1", "q1")}
    goes_on = {name: threading.Event() for name in ("p1", "q1")}
    tasks = {name: runs.task([*users("a", "u1"), *users("b", name)]) for name in ("p1", "q1")}
    names = {f"dag/{task.run_id}/push/-1": name for name, task in tasks.items()}
    announce, write = ChangedRows.announce, SnapshotStore.write

    def wait_and_announce(self: ChangedRows) -> None:
        name = names.get(self.options.task)
        if name is not None and not opened[name].is_set():
            opened[name].set()
            assert goes_on[name].wait(AT_MOST)
        announce(self)

    # Before Airflow 3, execute() can be called only in the main thread.
    threads = {
        name: threading.Thread(target=task.attempt, kwargs={"resume": True}) for name, task in tasks.items()
    }

    def wait_and_write(self: SnapshotStore, *arguments: Any, **more: Any) -> Any:
        monkeypatch.setattr(SnapshotStore, "write", write)
        for name, thread in threads.items():
            goes_on[name].set()
            thread.join(AT_MOST)
        return write(self, *arguments, **more)

    monkeypatch.setattr(ChangedRows, "announce", wait_and_announce)
    for name, thread in threads.items():
        thread.start()
        assert opened[name].wait(AT_MOST)
    monkeypatch.setattr(SnapshotStore, "write", wait_and_write)
    runs.task(users("b", "u1")).attempt()
    runs.has([*users("b", "u1", "p1", "q1")])
    runs.run(users("a", "u1"))


def test_of_a_journal_that_is_torn_no_snapshot_is_written(runs: Runs, monkeypatch: pytest.MonkeyPatch):
    runs.run(users("a"))
    with monkeypatch.context() as patch:
        patch.setattr(journal, "_HELD", 3)
        original = Journal._append

        def append_half(self: Journal, number: int, kind: str, parts: list[bytes]) -> None:
            if parts:
                patch.setattr(Journal, "_append", original)
                original(self, number, kind, [b"".join(parts)[:5]])
                raise OSError(28, "No space left on device")

        patch.setattr(Journal, "_append", append_half)
        runs.task(users("b")).fails()
    assert runs.sandbox.users()["u0"]["attributes"]["plan"] == "b"
    runs.run(users("a"))


def test_a_run_that_is_interrupted_before_all_is_recorded_writes_no_snapshot(
    runs: Runs, monkeypatch: pytest.MonkeyPatch
):
    runs.run(users("a"))
    with monkeypatch.context() as patch:

        def interrupted(*_: Any, **__: Any) -> None:
            raise TimeoutError("execution_timeout")

        patch.setattr(ChangedRows, "record", interrupted)
        with pytest.raises(Exception, match="execution_timeout"):
            runs.task(users("b")).attempt()
    assert runs.sandbox.users()["u0"]["attributes"]["plan"] == "b"
    runs.run(users("a"))


def test_a_killed_try_whose_retry_sends_nothing_is_not_forgotten(runs: Runs):
    runs.run(users("a"))
    task = runs.task(users("b"))
    killed_after(task, 1)
    runs.stopped_at(task, "u0")
    assert runs.sandbox.users()["u0"]["attributes"]["plan"] == "b"
    runs.run(users("a"))


def test_a_killed_try_whose_task_is_cleared_and_sends_nothing_is_not_forgotten(runs: Runs):
    runs.run(users("a"))
    task = runs.task(users("b"))
    killed_after(task, 4)
    task.clear()
    runs.stopped_at(task, "u0")
    runs.run(users("a"))


def test_a_killed_try_whose_journal_is_gone_and_whose_retry_sends_nothing_is_not_forgotten(runs: Runs):
    runs.run(users("a"))
    task = runs.task(users("b"))
    killed(task, "write", after=False)
    for part in runs.snapshots.glob("part-*"):
        part.unlink()
    assert task.attempt()["requests"] == 0
    runs.run(users("a"))


def test_what_moengage_rejects_now_but_took_from_a_killed_try_is_not_taken_for_unchanged(runs: Runs):
    runs.run(users("a", "u0"))
    task = runs.task(users("b", "u0"), max_rejected=1)
    killed_after(task, 1)
    runs.sandbox.fault(kind="status", status=400, customer_id="u0")
    assert task.attempt()["rejected"] == 1
    runs.sandbox.clear_faults()
    runs.run(users("a", "u0"))


def test_a_run_that_resumes_after_a_kill_of_long_ago_keeps_what_it_sent(runs: Runs):
    runs.run(users("a"))
    killed_after(runs.task(users("b")), 4)
    runs.age()
    task = runs.task(users("a"))
    killed_after(task, 5)
    assert task.attempt()["accepted"] == 8
    assert runs.run(users("a"))["unchanged"] == 8
