"""What becomes of the rows of a function: each is sent, none is held, and a retry knows whether it has them."""

from __future__ import annotations

import copy
import logging
from collections.abc import Callable, Iterator
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_moengage._compat import AirflowFailException, AirflowSkipException
from airflow_provider_moengage.decorators import events as of_events
from airflow_provider_moengage.decorators import users as of_users
from airflow_provider_moengage.exceptions import MoEngageIncompleteRun, MoEngageTaskFailed
from airflow_provider_moengage.hooks.moengage import MoEngageHook
from airflow_provider_moengage.sandbox import Sandbox
from tests.end_to_end.rows import refused, users
from tests.end_to_end.tracker import Tracker
from tests.end_to_end.tries import Task
from tests.support.strange_values import VALUES
from tests.support.task_state_store import TaskStateStore

TRACK_USERS: Any = of_users._TrackUsersDecoratedOperator
TRACK_EVENTS: Any = of_events._TrackEventsDecoratedOperator
BROKEN = {"kind": "status", "status": 500, "customer_id": "user-70"}
Call = Callable[..., Any]


class Function:
    """Functions that return rows; they know how often they were called, and how often their generators were closed."""

    def __init__(self) -> None:
        self.calls = self.closed = self.read = 0
        self.rows: Any = users(100)

    def __deepcopy__(self, memo: object) -> Function:
        return self

    def returning(self) -> Call:
        def customers() -> Any:
            self.calls += 1
            return self.rows

        return customers

    def yielding(self) -> Call:
        def customers() -> Iterator[Any]:
            self.calls += 1
            try:
                for row in self.rows:
                    if isinstance(row, Exception):
                        raise row
                    self.read += 1
                    yield row
            finally:
                self.closed += 1

        return customers


@pytest.fixture
def function() -> Function:
    return Function()


@pytest.fixture
def sandbox(moengage_sandbox_connection: Sandbox, monkeypatch: pytest.MonkeyPatch) -> Sandbox:
    monkeypatch.setattr("airflow_provider_moengage.api.client.FIRST_BACKOFF", 0.001)
    monkeypatch.setattr("airflow_provider_moengage.delivery.read.staging.CHUNK_ROWS", 30)
    monkeypatch.setattr(MoEngageHook, "segment_rows", 10)
    moengage_sandbox_connection.settings(users_per_minute=1_000_000, events_per_minute=1_000_000)
    return moengage_sandbox_connection


def task_of(call: Call, store: TaskStateStore | None = None, **parameters: Any) -> Task:
    task = Task(TRACK_USERS, store, python_callable=call, concurrency=1, **parameters)
    # Functions are not copied, and know what happened to them.
    task.deep = False
    return task


def files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())


@pytest.mark.parametrize(
    ("returned", "words"),
    [
        (None, "users is None at run time"),
        ({"rows": [{"customer_id": "ann"}]}, "users is a dict, not a list of rows: its key 'rows' holds"),
        ({"customer_id": "ann"}, "pass a single row as a list of one"),
        (5, "users is of type int"),
        ("[1", "users is a text that is not JSON"),
    ],
)
@pytest.mark.parametrize("staged", [False, True])
def test_what_is_no_list_of_rows_is_named_and_not_retried(
    sandbox: Sandbox, function: Function, tmp_path: Path, returned: object, words: str, staged: bool
):
    function.rows = returned
    more = {"staging_path": (tmp_path / "staged").as_uri()} if staged else {}
    error = task_of(function.returning(), **more).fails()
    assert isinstance(error, MoEngageTaskFailed)
    assert words in str(error)
    assert sandbox.state()["requests"] == 0
    assert function.calls == 1


@pytest.mark.parametrize("rows", [[], "", (), iter(())])
def test_no_rows_are_no_error(sandbox: Sandbox, function: Function, rows: Any):
    function.rows = rows
    report = task_of(function.returning()).attempt()
    assert (report["read"], report["source_exhausted"]) == (0, True)


@pytest.mark.parametrize(
    "wrap",
    [list, tuple, iter, partial(map, dict), lambda rows: (row for row in rows)],
    ids=["list", "tuple", "iterator", "map", "generator"],
)
def test_a_list_or_an_iterator_may_be_returned(sandbox: Sandbox, function: Function, wrap: Any):
    function.rows = wrap(users(100))
    assert task_of(function.returning()).attempt()["accepted"] == 100
    assert function.calls == 1


def test_the_length_of_a_returned_list_is_known_from_the_start(
    sandbox: Sandbox, function: Function, caplog: pytest.LogCaptureFixture
):
    caplog.set_level(logging.INFO)
    sandbox.fault(**BROKEN)
    task = task_of(function.returning())
    task.fails()
    assert (task.report["read"], task.report["source_exhausted"]) == (100, True)
    assert "rows of customers() to MoEngage" in caplog.text


def test_a_generator_is_read_as_rows_are_sent_and_closed_at_its_end(sandbox: Sandbox, function: Function):
    assert task_of(function.yielding()).attempt()["accepted"] == 100
    assert (function.calls, function.read, function.closed) == (1, 100, 1)


@pytest.mark.parametrize("staged", [False, True])
def test_a_generator_is_closed_if_the_run_ends_before_it(
    sandbox: Sandbox, function: Function, tmp_path: Path, staged: bool, monkeypatch: pytest.MonkeyPatch
):
    more: dict[str, Any] = {}
    if staged:
        folder = tmp_path / "staged"
        folder.mkdir()
        (folder / "dag").write_text("in the way of the copy's folder")
        more = {"staging_path": folder.as_uri()}
        function.read = 1
    else:
        sandbox.fault(**{**BROKEN, "status": 401, "customer_id": "user-50"})
    task_of(function.yielding(), **more).fails()
    assert function.read < 100
    # A copy that cannot be written needs no row.
    assert function.closed == function.calls == (0 if staged else 1)


def test_a_generator_that_raises_ends_the_run_after_its_rows(sandbox: Sandbox, function: Function):
    function.rows = [*users(20), ConnectionResetError("the shop is gone")]
    task = task_of(function.yielding())
    error = task.fails()
    assert isinstance(error, MoEngageIncompleteRun)
    assert "ConnectionResetError: the shop is gone, in customers() (20 rows read" in str(error)
    # Its traceback is the function's.
    assert isinstance(error.__cause__, ConnectionResetError)
    assert (task.report["accepted"], task.report["source_exhausted"]) == (20, False)
    assert function.closed == 1


@pytest.mark.parametrize("staged", [False, True])
def test_a_function_that_raises_at_once_is_named(sandbox: Sandbox, tmp_path: Path, staged: bool):
    def customers() -> Any:
        raise OSError("the shop is closed")

    more = {"staging_path": (tmp_path / "staged").as_uri()} if staged else {}
    error = task_of(customers, **more).fails()
    assert isinstance(error, MoEngageIncompleteRun)
    assert "The run ended early: OSError: the shop is closed, in customers() (0 rows read" in str(error)


@pytest.mark.parametrize("kind", [AirflowFailException, AirflowSkipException])
def test_a_function_decides_how_its_task_ends(
    sandbox: Sandbox, function: Function, tmp_path: Path, kind: type[Exception]
):
    function.rows = [*users(5), kind("a holiday")]
    for more in ({}, {"staging_path": (tmp_path / "staged").as_uri()}):
        with pytest.raises(kind, match="a holiday"):
            task_of(function.yielding(), **more).attempt()
    # Not one row of a copy that was not completed is sent.
    assert len(sandbox.users()) == 5
    if kind is AirflowSkipException:
        assert files(tmp_path) == []


def test_without_a_copy_a_retry_calls_the_function_again(
    sandbox: Sandbox, function: Function, caplog: pytest.LogCaptureFixture
):
    caplog.set_level(logging.INFO)
    sandbox.fault(**BROKEN)
    task = task_of(function.yielding(), TaskStateStore())
    task.fails()
    assert "begins with the first row again" in caplog.text
    assert "a function may return other rows (set staging_path= to keep a copy)" in caplog.text
    sandbox.clear_faults()
    report = task.attempt()
    assert (report["accepted"], report["requests"], function.calls) == (100, 100, 2)


def test_a_deferrable_task_needs_a_copy(sandbox: Sandbox, function: Function):
    error = task_of(function.yielding(), TaskStateStore(), deferrable=True).fails()
    assert isinstance(error, MoEngageTaskFailed)
    assert "the task could not resume after a deferral: a function may return other rows" in str(error)
    assert function.calls == 0


@pytest.mark.parametrize("kind", ["returning", "yielding"])
@pytest.mark.parametrize("in_store", [True, False])
def test_with_a_copy_a_retry_goes_on_and_does_not_call_the_function(
    sandbox: Sandbox, function: Function, tmp_path: Path, kind: str, in_store: bool
):
    task = task_of(getattr(function, kind)(), staging_path=(tmp_path / "staged").as_uri())
    task.store = TaskStateStore() if in_store else None
    sandbox.fault(**BROKEN)
    task.fails()
    assert (task.report["read"], task.report["accepted"]) == (100, 70)
    sandbox.clear_faults()
    function.rows = []
    report = task.attempt()
    assert (report["read"], report["accepted"], report["requests"]) == (100, 100, 30)
    assert function.calls == 1
    assert files(tmp_path) == []


def test_other_arguments_call_the_function_again(sandbox: Sandbox, tmp_path: Path):
    calls = []

    def customers(count: int) -> Any:
        calls.append(count)
        yield from users(count)

    task = task_of(customers, staging_path=(tmp_path / "staged").as_uri(), op_args=[100])
    sandbox.fault(**BROKEN)
    task.fails()
    sandbox.clear_faults()
    assert task.attempt(op_args=[20])["accepted"] == 20
    assert calls == [100, 20]


def test_durable_false_makes_no_copy(sandbox: Sandbox, function: Function, tmp_path: Path):
    task = task_of(function.yielding(), staging_path=(tmp_path / "staged").as_uri(), durable=False)
    sandbox.fault(**BROKEN)
    task.fails()
    assert files(tmp_path) == []
    sandbox.clear_faults()
    task.attempt()
    assert function.calls == 2


def test_a_generator_that_breaks_off_while_it_is_copied_sends_nothing(
    sandbox: Sandbox, function: Function, tmp_path: Path
):
    function.rows = [*users(50), OSError("the shop is gone")]
    task = task_of(function.yielding(), staging_path=(tmp_path / "staged").as_uri())
    assert "the shop is gone" in str(task.fails())
    assert (sandbox.state()["requests"], function.closed) == (0, 1)
    function.rows = users(50)
    assert task.attempt()["accepted"] == 50


def test_events_without_a_copy_are_not_sent_twice(sandbox: Sandbox, function: Function):
    function.rows = [{"customer_id": f"user-{n}", "action": "Seen"} for n in range(100)]
    task = task_of(function.yielding(), TaskStateStore(), time_column=None)
    task.operator = TRACK_EVENTS
    sandbox.fault(**BROKEN)
    task.fails()
    sandbox.clear_faults()
    sent = len(sandbox.events())
    error = task.fails()
    assert isinstance(error, MoEngageTaskFailed)
    assert "on_restart='resend'" in str(error)
    assert len(sandbox.events()) == sent > 0


def test_a_task_that_is_told_to_end_reads_no_more_rows(sandbox: Sandbox, function: Function):
    def rows() -> Iterator[Any]:
        for number in range(1_000_000):
            if number == 10:
                assert task.running is not None
                task.running.on_kill()
            yield {"customer_id": f"user-{number}"}

    function.rows = rows()
    task = task_of(function.yielding())
    assert "told to end" in str(task.fails())
    assert function.read < 1_000_000
    assert function.closed == 1


def odd_rows() -> list[Any]:
    """Rows whose columns differ, in both shapes; some are no rows at all."""
    return [
        {"customer_id": "ann", "price": Decimal("1.10"), "n": 5},
        {"customer_id": "ben", "attributes": {"plan": "gold"}},
        {"customer_id ": "cid", " plan": "free"},
        {"customer_id": "dan", "plan": 1, "plan ": 2},
        {"customer_id": "eve", 5: "a name that is no text"},
        ["customer_id", "fay"],
        "gus",
        None,
        7,
        object(),
        {},
        {"customer_id": "hal", "$type": "Decimal", "$value": "5"},
    ]


def test_a_copy_changes_no_row(track: Tracker, tmp_path: Path):
    """The same is sent, and the same is rejected under the same code, with a copy and without."""
    # A list that contains itself is rejected either way, but a copy cannot hold it, and so not the reason.
    values = [value for what, (value, _) in VALUES.items() if what != "endless"]
    strange = [{"customer_id": f"s{n}", "a": value} for n, value in enumerate(values)]
    outcomes = []
    for more in ({}, {"staging_path": (tmp_path / "staged").as_uri()}):
        folder = tmp_path / f"rejected{len(outcomes)}"
        track.sandbox.reset()
        track.sandbox.settings(users_per_minute=10_000_000, window_seconds=1.0, object_attributes=True)
        track.using(TRACK_USERS)(
            python_callable=lambda: iter([*odd_rows(), *strange]),
            max_rejected=1_000,
            rejected_path=folder.as_uri(),
            **more,
        )
        lines = refused(track.ti.xcoms["report"]["rejected_path"])
        rejected = [(line["position"], line["code"]) for line in lines]
        outcomes.append((track.attributes(), rejected))
    assert outcomes[0][0] == outcomes[1][0]
    assert outcomes[0][1] == outcomes[1][1]


def test_columns_are_folded_with_a_copy_and_without(track: Tracker, tmp_path: Path):
    for more in ({}, {"staging_path": (tmp_path / "staged").as_uri()}):
        track.sandbox.reset()
        track.using(TRACK_USERS)(
            python_callable=lambda: iter([{"CUSTOMER_ID": "ann", "PLAN": "gold"}]),
            fold_columns="lower",
            **more,
        )
        assert track.attributes() == {"ann": {"plan": "gold"}}


def test_a_copied_operator_calls_the_function_too(track: Tracker):
    operator = TRACK_USERS(task_id="t", python_callable=lambda: users(3))
    assert copy.deepcopy(operator).execute({})["accepted"] == 3
    assert operator.execute({})["accepted"] == 3


def test_a_function_gets_what_it_asks_for_of_the_context(track: Tracker):
    seen: dict[str, Any] = {}

    def customers(first: int, *, ti: Any = None, second: int = 0) -> list[Any]:
        seen.update(first=first, second=second, ti=ti)
        return []

    def everything(**context: Any) -> list[Any]:
        seen.update(context)
        return []

    ti = object()
    TRACK_USERS(
        task_id="t", python_callable=customers, op_args=[1], op_kwargs={"second": 2}, validate_only=True
    ).execute({"ti": track.ti, "other": ti})
    assert seen == {"first": 1, "second": 2, "ti": track.ti}
    seen.clear()
    TRACK_USERS(task_id="t", python_callable=everything, op_kwargs={"second": 2}).execute(
        {"ti": track.ti, "other": ti}
    )
    assert seen == {"ti": track.ti, "other": ti, "second": 2}
