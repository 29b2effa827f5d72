"""An operator's mapping describes what to do with rows; it is no part of a run, and copied with the operator."""

from __future__ import annotations

import copy
import pickle
from datetime import datetime, timezone
from typing import Any

import pytest

from airflow_provider_moengage._compat import BaseOperator
from airflow_provider_moengage.operators.base import MoEngageSendOperator
from airflow_provider_moengage.operators.bulk import MoEngageBulkImportOperator
from airflow_provider_moengage.operators.devices import (
    MoEngageOptOutDevicesOperator,
    MoEngageTrackDevicesOperator,
)
from airflow_provider_moengage.operators.events import MoEngageTrackEventsOperator
from airflow_provider_moengage.operators.resumption import fingerprint_of
from airflow_provider_moengage.operators.users import (
    MoEngageDeleteUsersOperator,
    MoEngageGetUsersOperator,
    MoEngageMergeUsersOperator,
    MoEngageTrackUsersOperator,
    MoEngageUnsetAttributesOperator,
)
from tests.end_to_end.rows import users
from tests.end_to_end.tracker import Tracker

try:
    from airflow.sdk import DAG
except ImportError:  # Airflow 2
    from airflow import DAG

TYPES = {"n": "number", "born": "date:%d/%m/%Y", "plan": "string"}
OPERATORS: list[tuple[type[MoEngageSendOperator], dict[str, Any]]] = [
    (
        MoEngageTrackUsersOperator,
        {
            "types": TYPES,
            "timezone": "Asia/Kolkata",
            "identifiers": {"moe_mobile"},
            "add_to_arrays": {"tags": "tag"},
        },
    ),
    (MoEngageUnsetAttributesOperator, {"unset": ["plan", {"type": "equals", "attr": "n"}]}),
    (MoEngageTrackEventsOperator, {"types": TYPES, "timezone": "UTC", "time_column": None}),
    (MoEngageTrackDevicesOperator, {"id_column": "who"}),
    (MoEngageOptOutDevicesOperator, {"action": "block"}),
    (MoEngageBulkImportOperator, {"types": TYPES, "timezone": "UTC"}),
    (MoEngageGetUsersOperator, {"fields": ["plan"], "identifier_type": "id"}),
    (MoEngageMergeUsersOperator, {}),
    (MoEngageDeleteUsersOperator, {"identity_type": "moengage_id"}),
]


def through_a_pickle(operator: BaseOperator) -> Any:
    return pickle.loads(pickle.dumps(operator))


def through_its_dag(operator: BaseOperator) -> Any:
    dag = DAG("dag", start_date=datetime(2026, 1, 1, tzinfo=timezone.utc), schedule=None)
    dag.add_task(operator)
    return copy.deepcopy(dag).get_task(operator.task_id)


@pytest.mark.parametrize("copied", [copy.copy, copy.deepcopy, through_a_pickle, through_its_dag])
@pytest.mark.parametrize(("operator", "parameters"), OPERATORS)
def test_a_copy_of_an_operator_has_a_mapping_with_the_same_parameters(
    operator: type[MoEngageSendOperator], parameters: dict[str, Any], copied: Any
):
    one = operator(task_id="t", **{operator.operation.rows: []}, **parameters)
    other = copied(one)
    assert other.mapping == one.mapping
    assert fingerprint_of(other) == fingerprint_of(one)


def test_a_copy_of_an_operator_sends_the_same(track: Tracker):
    rows = [{"who": "ann", "on": "03/02/2026", "name": "gold"}]
    operator = MoEngageTrackUsersOperator(
        task_id="t",
        users=rows,
        id_column="who",
        attributes={"born": "on", "plan": "name"},
        types={"born": "date:%d/%m/%Y"},
    )
    assert copy.deepcopy(operator).execute({})["accepted"] == 1
    assert track.attributes() == {"ann": {"born": "2026-02-03", "plan": "gold"}}


def test_an_operator_merges_the_same_pairs_twice(track: Tracker):
    track(users=users(4))
    pairs = [{"merged_user": "user-0", "retained_user": "user-1"}]
    operator = MoEngageMergeUsersOperator(task_id="t", pairs=pairs)
    # MoEngage skips the second merge: the user is gone.
    track.may_bend = True
    for _ in range(2):
        report = operator.execute({})
        assert (report["accepted"], report["rejected"]) == (1, 0)
    assert len([one for one in track.sandbox.requests() if one["path"].endswith("/merge")]) == 2


def test_an_operator_reads_the_same_users_twice(track: Tracker):
    track(users=users(3))
    operator = MoEngageGetUsersOperator(task_id="t", users=[f"user-{n}" for n in range(3)])
    for _ in range(2):
        report = operator.execute({})
        assert (report["found"], len(report["users"])) == (3, 3)
    assert len([one for one in track.sandbox.requests() if one["path"].endswith("/export")]) == 2


def test_a_mapped_operator_has_the_parameters_of_its_partial(track: Tracker):
    with DAG("dag", start_date=datetime(2026, 1, 1, tzinfo=timezone.utc), schedule=None):
        mapped = MoEngageTrackUsersOperator.partial(task_id="t", id_column="who").expand(
            users=[[{"who": "ann", "n": 1}]]
        )
    rows = [{"who": "ann", "n": 1}]
    operator = mapped.unmap({**mapped.partial_kwargs, "task_id": "t", "users": rows})
    assert operator.execute({})["accepted"] == 1
    assert track.attributes() == {"ann": {"n": 1}}
