"""A retry, which is another process, has the same fingerprint of the same arguments."""

from __future__ import annotations

import os
import subprocess
import sys
from functools import partial
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from airflow_provider_moengage.delivery.read.sources import Rows
from airflow_provider_moengage.delivery.shape.canonical import canonical, text_of_row
from airflow_provider_moengage.exceptions import MoEngageIncompleteRun
from airflow_provider_moengage.operations.track_events import EventMapping
from airflow_provider_moengage.operators.base import MoEngageSendOperator
from airflow_provider_moengage.operators.bulk import MoEngageBulkImportOperator
from airflow_provider_moengage.operators.devices import MoEngageOptOutDevicesOperator
from airflow_provider_moengage.operators.events import MoEngageTrackEventsOperator
from airflow_provider_moengage.operators.resumption import fingerprint_of
from airflow_provider_moengage.operators.users import (
    MoEngageDeleteUsersOperator,
    MoEngageGetUsersOperator,
    MoEngageTrackUsersOperator,
)
from tests.end_to_end.tracker import Tracker
from tests.end_to_end.tries import Task
from tests.operators.test_signatures import parameters
from tests.support.dag_runs import ROOT
from tests.support.task_state_store import TaskStateStore

PROGRAM = """
import dataclasses, enum, functools, threading, uuid
from airflow_provider_moengage.operators.resumption import fingerprint_of
from airflow_provider_moengage.operators.users import MoEngageTrackUsersOperator
from airflow_provider_moengage.delivery.read.sources import Rows

class Plain:
    def __init__(self, **more):
        self.names = {"b", "a", "c", "d"}
        self.me = self
        vars(self).update(more)
    def method(self):
        pass

class Slots:
    __slots__ = ("names", "empty")
    def __init__(self):
        self.names = frozenset({"x", "y", "z"})

@dataclasses.dataclass
class Data:
    names: set = dataclasses.field(default_factory=lambda: {"p", "q", "r"})
    inner: Plain = dataclasses.field(default_factory=Plain)

class Word(enum.Enum):
    ONE = object()

words = {"moe_mobile", "moe_email", "moe_other", "moe_more"}
values = {
    "set": words, "frozen": frozenset(words), "nested": [{("a", "b"), ("c", "d")}, {"k": words}], "object": Plain(),
    "deep": Plain(inner=Plain(inner=[Slots(), Data()])), "lambda": lambda: 1, "function": print, "class": Plain,
    "method": Plain().method, "partial": functools.partial(Plain, names=words), "lock": threading.Lock(),
    "bare": object(), "iterator": iter([1]), "enum": Word.ONE, "module": uuid, "keys": {one: 1 for one in words}.keys(),
}
operator = MoEngageTrackUsersOperator(
    task_id="t", sql="select 1", sql_conn_id="db", identifiers=words, parameters=values, sql_hook_params=values
)
print(fingerprint_of(operator))
rows = [{"customer_id": "ann", "tags": words, "own": Plain(), "n": 1}, {"customer_id": "ben", "attributes": {"a": words}}]
print(Rows(rows).prepare(None, None))
print(Rows(words).prepare(None, None))
"""


def test_it_is_the_same_in_every_process():
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", PROGRAM],
            env={**environment, "PYTHONHASHSEED": seed},
            cwd=ROOT,
            stdout=subprocess.PIPE,
            text=True,
        )
        for seed in ("0", "1", "2", "3")
    ]
    said = [process.communicate(timeout=120)[0].split()[-3:] for process in processes]
    assert [process.returncode for process in processes] == [0] * 4
    assert said == [said[0]] * 4
    assert len(set(said[0])) == 3


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.text(max_size=3), inner, max_size=3)
        | st.sets(st.integers() | st.text(max_size=3), max_size=3)
    ),
    max_leaves=8,
)


@settings(deadline=None)
@given(JSON, JSON)
def test_different_values_have_different_texts(one: Any, other: Any):
    same = repr(one) == repr(other)
    assert canonical(one) == canonical(one)
    if canonical(one) == canonical(other) and not same:
        assert one == other


@settings(deadline=None)
@given(st.dictionaries(st.text(max_size=4), JSON, max_size=5))
def test_a_row_of_plain_values_is_known_by_its_repr(row: dict[str, Any]):
    assert text_of_row(row) in (repr(row), canonical(row))


def test_the_order_of_names_is_no_matter_and_that_of_a_list_is():
    assert canonical({"a": 1, "b": 2}) == canonical({"b": 2, "a": 1})
    assert canonical([1, 2]) != canonical([2, 1])
    assert canonical([1]) != canonical((1,))
    assert canonical([True]) != canonical([1])
    assert canonical(partial(int, "1")) != canonical(partial(int, "2"))


def test_what_contains_itself_or_is_shared_ends():
    endless: list[Any] = [1]
    endless.append(endless)
    assert "…" in canonical(endless)
    shared: Any = {"a": 1}
    for _ in range(60):
        shared = {"left": shared, "right": shared}
    # Written out each time it would be two to the power of sixty times.
    assert len(canonical(shared)) < 10_000
    deep: Any = "x"
    for _ in range(5_000):
        deep = [deep]
    assert canonical(deep)


def test_different_arguments_have_different_fingerprints():
    def fingerprint(**more: Any) -> str:
        return fingerprint_of(MoEngageTrackUsersOperator(task_id="t", users=[], **more))

    base = fingerprint()
    changes: list[dict[str, Any]] = [
        {"identifiers": {"moe_mobile"}},
        {"identifiers": {"moe_email"}},
        {"fold_columns": "lower"},
        {"attributes": {"a": "b"}},
        {"attributes": ["a", "b"]},
        {"attributes": ["b", "a"]},
        {"types": {"a": "string"}},
    ]
    assert len({base, *(fingerprint(**change) for change in changes)}) == len(changes) + 1
    assert fingerprint(concurrency=2, max_rejected=5) == base


@pytest.mark.parametrize("operator", [MoEngageTrackUsersOperator, MoEngageTrackEventsOperator])
def test_a_retry_with_a_set_of_identifiers_goes_on(track: Tracker, operator: type):
    track.sandbox.settings(identifiers=["moe_mobile", "moe_email"])
    noun = "users" if operator is MoEngageTrackUsersOperator else "events"
    rows = [
        {
            "customer_id": f"user-{n}",
            "n": n,
            **({"action": "b", "event_time": 1700000000} if noun == "events" else {}),
        }
        for n in range(40)
    ]
    identifiers = {"moe_mobile", "moe_email"}
    task = Task(operator, TaskStateStore(), **{noun: rows}, identifiers=identifiers, concurrency=1)
    track.sandbox.fault(kind="status", status=503, after=20)
    assert isinstance(task.fails(), MoEngageIncompleteRun)
    track.sandbox.clear_faults()
    before = track.requests
    report = task.attempt(identifiers={*identifiers})
    assert report["accepted"] == 40
    assert track.requests - before < 40


def test_rows_of_a_set_have_one_order():
    ids = [f"user-{number}" for number in range(50)]
    backwards = ids[::-1]
    one, other = Rows(set(ids)), Rows(set(backwards))
    assert list(one.rows(lambda columns: None)) == list(other.rows(lambda columns: None)) == sorted(ids)


#: Parameters of every operator that may change between two attempts.
TUNING = {
    "concurrency",
    "max_rejected",
    "rejected_path",
    "on_empty",
    "validate_only",
    "staging_path",
    "durable",
    "resync_every",
    "deferrable",
    "defer_threshold",
}


@pytest.mark.parametrize("name", [name for name in parameters(MoEngageSendOperator) if name != "kwargs"])
def test_each_parameter_is_compared_or_one_of_tuning(name: str):
    operator = MoEngageTrackEventsOperator(task_id="t", events=[])
    before = fingerprint_of(operator)
    setattr(operator, name, EventMapping(id_column="other") if name == "mapping" else "other")
    assert (fingerprint_of(operator) == before) == (name in TUNING)


@pytest.mark.parametrize(
    ("operator", "rows", "compared", "tuning"),
    [
        (MoEngageTrackUsersOperator, "users", [{"bulk": True}, {"bulk": True, "max_bytes": 5_000}], {}),
        (
            MoEngageTrackEventsOperator,
            "events",
            [{"bulk": True}, {"bulk": True, "max_bytes": 5_000}, {"action_column": "name"}],
            {"on_unknown": "reject", "on_restart": "resend"},
        ),
        (
            MoEngageBulkImportOperator,
            "elements",
            [{"max_bytes": 5_000}, {"identifiers": {"moe_mobile"}}, {"timezone": "UTC"}],
            {"on_restart": "resend"},
        ),
        (MoEngageOptOutDevicesOperator, "devices", [{"action": "block"}, {"action": "unblock"}], {}),
        (
            MoEngageDeleteUsersOperator,
            "users",
            [{"on_missing": "fail"}, {"identity_type": "moengage_id"}],
            {},
        ),
        (MoEngageGetUsersOperator, "users", [{"fields": ["a"]}, {"identifier_type_column": "kind"}], {}),
    ],
)
def test_the_parameters_of_an_operator_are_compared(
    operator: Any, rows: str, compared: list[dict[str, Any]], tuning: dict[str, Any]
):
    def fingerprint(**more: Any) -> str:
        return fingerprint_of(operator(task_id="t", **{rows: []}, **more))

    base = fingerprint()
    assert len({base, *(fingerprint(**change) for change in compared)}) == len(compared) + 1
    assert fingerprint(**tuning) == base


def test_what_a_run_has_learnt_is_not_compared(track: Tracker):
    operator = MoEngageTrackUsersOperator(task_id="t", users=[{"customer_id": "ann", "plan": "gold"}])
    before = fingerprint_of(operator)
    operator.execute({})
    assert fingerprint_of(operator) == before
