"""Whatever happens to earlier runs, one that completes leaves MoEngage with what its source says."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from airflow_provider_moengage.api.errors import MoEngageError
from airflow_provider_moengage.delivery.changes.snapshot_store import SnapshotStore
from airflow_provider_moengage.hooks.moengage import MoEngageHook
from airflow_provider_moengage.operators.users import MoEngageTrackUsersOperator
from airflow_provider_moengage.sandbox import Sandbox
from tests.end_to_end.tries import Task
from tests.support.task_state_store import TaskStateStore

USERS = [f"user-{n}" for n in range(6)]
VALUES = ["a", "b", "c"]
#: A value that is rejected before it is sent.
BAD = "31/12/2025 10:00"

Rows = list[tuple[str, str]]


@dataclass(frozen=True)
class Step:
    """
    A run of a DAG.

    :param rows: the source: user and value.
    :param fault: what the server does with one request of a user.
    :param lost_from: the process is killed, and so the files stay as they are at the time of this write; None: it is not.
    :param meanwhile: the rows of another run that begins and ends at the time of that write.
    :param retried: whether the run is tried again after it failed or was killed.
    :param damaged: the file that is damaged afterwards, by its number, and where it is cut.
    """

    rows: Rows
    fault: tuple[str, int, str] | None = None
    lost_from: int | None = None
    meanwhile: Rows | None = None
    retried: bool = True
    damaged: tuple[int, int] | None = None
    options: dict[str, Any] = field(default_factory=dict)


def rows() -> st.SearchStrategy[Rows]:
    return st.lists(st.tuples(st.sampled_from(USERS), st.sampled_from([*VALUES, *VALUES, BAD])), max_size=8)


def steps() -> st.SearchStrategy[Step]:
    return st.builds(
        Step,
        rows=rows(),
        fault=st.none()
        | st.tuples(
            st.sampled_from(["status", "drop_after", "drop_before"]),
            st.sampled_from([400, 500]),
            st.sampled_from(USERS),
        ),
        lost_from=st.none() | st.integers(0, 6),
        meanwhile=st.none() | rows(),
        retried=st.booleans(),
        damaged=st.none() | st.tuples(st.integers(0, 5), st.integers(0, 40)),
        options=st.sampled_from(
            [
                {},
                {},
                {"bulk": True},
                {"full_resync": True},
                {"resync_every": 2},
                {"on_removed": "unset", "removed_attributes": ["note"], "max_removed": 100},
            ]
        ),
    )


class World:
    """The sandbox and the snapshot's folder, and the runs on them."""

    def __init__(self, sandbox: Sandbox, folder: Path) -> None:
        self.sandbox = sandbox
        self.folder = folder
        self.runs = 0

    def task(self, step: Step, rows: Rows) -> Task:
        self.runs += 1
        users = [{"customer_id": user, "value": value} for user, value in rows]
        return Task(
            MoEngageTrackUsersOperator,
            TaskStateStore(),
            run_id=f"run-{self.runs}",
            users=users,
            changed_only=True,
            snapshot_path=f"file://{self.folder}",
            max_rejected=100,
            concurrency=2,
            **step.options,
        )

    def run(self, step: Step, monkeypatch: pytest.MonkeyPatch) -> None:
        """Run a step to its end, if it comes to one."""
        task = self.task(step, step.rows)
        if step.fault is not None:
            kind, status, user = step.fault
            more = {"status": status} if kind == "status" else {}
            self.sandbox.fault(kind=kind, customer_id=user, times=8, **more)
        with monkeypatch.context() as patched:
            kill = self._interrupt(task, step, patched)
            completed = self.attempt(task)
        self.sandbox.clear_faults()
        killed = kill()
        if step.retried and (killed or not completed):
            # Faults are over now.
            completed = self.attempt(task)
            assert completed
        # Two runs at once end in either order; what MoEngage has then is up to the next run.
        if completed and step.meanwhile is None and (not killed or step.retried):
            rejected = step.fault[2] if step.fault is not None and step.fault[:2] == ("status", 400) else None
            self.verify([row for row in step.rows if row[0] != rejected])
        self._damage(step)

    def attempt(self, task: Task) -> bool:
        try:
            task.attempt()
        except MoEngageError:
            return False
        return True

    def verify(self, rows: Rows) -> None:
        """Check that MoEngage has the last value of each user that is valid."""
        expected = {user: value for user, value in rows if value != BAD}
        stored = self.sandbox.users()
        found = {user: stored.get(user, {}).get("attributes", {}).get("value") for user in expected}
        assert found == expected

    def _interrupt(self, task: Task, step: Step, patched: pytest.MonkeyPatch) -> Callable[[], bool]:
        """
        Prepare the kill of a step, and what happens meanwhile.

        All that is written after the kill is lost, but all that is sent has arrived: more than a kill can do.
        """
        copy = self.folder.with_name("copy")
        shutil.rmtree(copy, ignore_errors=True)
        store = task.store
        assert store is not None
        seen, state = [0], [""]

        def notice() -> None:
            number, seen[0] = seen[0], seen[0] + 1
            if number == step.lost_from and step.meanwhile is not None:
                with pytest.MonkeyPatch.context() as unpatched:
                    unpatched.setattr(SnapshotStore, "announce", announce)
                    unpatched.setattr(SnapshotStore, "write_part", write_part)
                    self.attempt(self.task(step, step.meanwhile))
            if number == step.lost_from:
                shutil.copytree(self.folder, copy)
                state[0] = store._text

        announce, write_part, save = SnapshotStore.announce, SnapshotStore.write_part, TaskStateStore.set

        def announced(self: SnapshotStore, *args: Any) -> None:
            announce(self, *args)
            notice()

        def written(self: SnapshotStore, *args: Any) -> None:
            write_part(self, *args)
            notice()

        def saved(self: TaskStateStore, *args: Any) -> None:
            save(self, *args)
            if self is store:
                notice()

        patched.setattr(SnapshotStore, "announce", announced)
        patched.setattr(SnapshotStore, "write_part", written)
        patched.setattr(TaskStateStore, "set", saved)

        def kill() -> bool:
            if not copy.exists() or step.meanwhile is not None:
                return False
            shutil.rmtree(self.folder)
            shutil.copytree(copy, self.folder)
            store._text = state[0]
            return True

        return kill

    def _damage(self, step: Step) -> None:
        files = sorted(path for path in self.folder.rglob("*") if path.is_file())
        if step.damaged is not None and files:
            number, size = step.damaged
            path = files[number % len(files)]
            path.write_bytes(path.read_bytes()[:size])


@pytest.fixture
def world(
    moengage_sandbox_connection: Sandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[[], World]:
    monkeypatch.setattr("airflow_provider_moengage.api.client.FIRST_BACKOFF", 0.0001)
    monkeypatch.setattr(MoEngageHook, "segment_rows", 2)
    folder = tmp_path / "snapshots"

    def clean() -> World:
        moengage_sandbox_connection.reset()
        moengage_sandbox_connection.settings(users_per_minute=1_000_000, bulk_users_per_minute=1_000_000)
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        return World(moengage_sandbox_connection, folder)

    return clean


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(sequence=st.lists(steps(), min_size=2, max_size=5), last=rows())
def test_a_run_that_completes_leaves_what_its_source_says(
    world: Callable[[], World], monkeypatch: pytest.MonkeyPatch, sequence: list[Step], last: Rows
):
    runs = world()
    for step in sequence:
        runs.run(step, monkeypatch)
    # Two undisturbed runs of other rows, and of the rows of a run before: what flips back must be sent again.
    for rows in (last, sequence[0].rows, last):
        task = runs.task(Step(rows), rows)
        assert runs.attempt(task)
        runs.verify(rows)
