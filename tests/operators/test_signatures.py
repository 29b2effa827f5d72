"""Every parameter stands in the signature and the docstring of its operator, and a type checker finds a wrong one."""

from __future__ import annotations

import inspect
import pydoc
import re
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import get_args

import pytest

from airflow_provider_moengage._compat import BaseOperator
from airflow_provider_moengage.delivery.shape.typed_text import CONVERTERS
from airflow_provider_moengage.operators.base import MoEngageSendOperator
from airflow_provider_moengage.operators.bulk import MoEngageBulkImportOperator
from airflow_provider_moengage.operators.cohorts import MoEngageSyncCohortOperator
from airflow_provider_moengage.operators.devices import (
    MoEngageOptOutDevicesOperator,
    MoEngageTrackDevicesOperator,
)
from airflow_provider_moengage.operators.events import MoEngageTrackEventsOperator
from airflow_provider_moengage.operators.task_arguments import TaskArguments
from airflow_provider_moengage.operators.users import (
    MoEngageDeleteUsersOperator,
    MoEngageGetUsersOperator,
    MoEngageMergeUsersOperator,
    MoEngageTrackUsersOperator,
    MoEngageUnsetAttributesOperator,
)
from airflow_provider_moengage.typing import AttributeType

OPERATORS = (
    MoEngageBulkImportOperator,
    MoEngageDeleteUsersOperator,
    MoEngageGetUsersOperator,
    MoEngageMergeUsersOperator,
    MoEngageOptOutDevicesOperator,
    MoEngageSyncCohortOperator,
    MoEngageTrackDevicesOperator,
    MoEngageTrackEventsOperator,
    MoEngageTrackUsersOperator,
    MoEngageUnsetAttributesOperator,
)
CHANGED_ONLY = ("changed_only", "snapshot_path", "full_resync", "resync_every")
PARAM = re.compile(r"^ *:param (\w+): ((?:.|\n(?! *:| *\"\"\"|\n))+)", re.MULTILINE)
#: Each of these calls is wrong in one way; the comment is the error code that mypy has for it.
WRONG_CALLS = """\
from airflow_provider_moengage.hooks.moengage import MoEngageHook
from airflow_provider_moengage.operators.events import MoEngageTrackEventsOperator
from airflow_provider_moengage.operators.users import MoEngageMergeUsersOperator, MoEngageTrackUsersOperator

MoEngageTrackUsersOperator(task_id="t", usrs=[])  # call-arg
MoEngageTrackUsersOperator(task_id="t", users=[], max_rejected="1%")  # arg-type
MoEngageTrackUsersOperator(task_id="t", users=[], types={"a": "int"})  # dict-item
MoEngageTrackUsersOperator(task_id="t", users=[], nulls="drop")  # arg-type
MoEngageTrackUsersOperator(task_id="t", users=[], on_empty="ignore")  # arg-type
MoEngageTrackUsersOperator(task_id="t", users=[], deferable=True)  # call-arg
MoEngageTrackUsersOperator(task_id="t", users=[], retries="3")  # arg-type
MoEngageTrackUsersOperator(users=[])  # call-arg
MoEngageMergeUsersOperator(task_id="t", users=[])  # call-arg
MoEngageTrackEventsOperator(task_id="t", events=[], on_unknown="ignore")  # arg-type
MoEngageHook().track_users([], max_rejectd=1)  # call-arg
MoEngageHook().track_users([])["acepted"]  # typeddict-item
"""
RIGHT_CALLS = """\
from datetime import timedelta

from airflow.sdk import DAG, task

from airflow_provider_moengage.hooks.moengage import MoEngageHook
from airflow_provider_moengage.operators.users import MoEngageTrackUsersOperator
from airflow_provider_moengage.retry_policy import moengage_retry_policy
from airflow_provider_moengage.typing import AttributeType, DateFormat, Report

types: dict[str, AttributeType | DateFormat] = {"plan": "string", "born": DateFormat("date:%d/%m/%Y")}

with DAG("dag"):

    @task
    def customers() -> list[dict[str, object]]:
        return []

    @task
    def alert() -> None: ...

    push = MoEngageTrackUsersOperator(
        task_id="push",
        users=customers(),
        types=types,
        max_rejected=0.01,
        deferrable=True,
        retries=3,
        retry_delay=timedelta(minutes=1),
        retry_policy=moengage_retry_policy(),
    )
    push >> alert()
    counts = push.output
    MoEngageTrackUsersOperator.partial(task_id="mapped", max_rejected=3).expand(users=[[{"customer_id": "a1"}]])

report: Report = MoEngageHook().track_users([{"customer_id": "a1"}], max_rejected=1)
accepted: int = report["accepted"]
"""


def documented(operator: type) -> dict[str, str]:
    return {name: " ".join(text.split()) for name, text in PARAM.findall(inspect.getdoc(operator) or "")}


def parameters(operator: type) -> dict[str, inspect.Parameter]:
    return {
        name: one for name, one in inspect.signature(operator.__init__).parameters.items() if name != "self"
    }


@pytest.mark.parametrize("operator", OPERATORS)
def test_shared_parameters_are_the_same_in_every_operator(operator: type[MoEngageSendOperator]):
    shared, own = parameters(MoEngageSendOperator), parameters(operator)
    shared_texts, texts = documented(MoEngageSendOperator), documented(operator)
    assert set(shared_texts) == set(shared)
    # What every operator builds of the parameters that are its own.
    del shared["mapping"], shared_texts["mapping"]
    # Those that have to send every row say so to who asks for less; of a cohort, only changes are sent in any case.
    absent = CHANGED_ONLY if operator.operation.identity is None else ()
    for name in ("changed_only",) if operator is MoEngageSyncCohortOperator else absent:
        assert name not in own
        del shared[name], shared_texts[name]
    assert {name: own.get(name) for name in shared} == shared
    assert {name: texts.get(name) for name in shared_texts} == shared_texts


@pytest.mark.parametrize("operator", OPERATORS)
def test_help_explains_every_parameter_once(operator: type):
    shown = pydoc.render_doc(operator, renderer=pydoc.plaintext)
    # What follows are methods, most of them Airflow's, with parameters of their own.
    about_the_class = shown.partition("Method resolution order:")[0]
    explained = re.findall(r":param (\w+):", about_the_class)
    assert sorted(explained) == sorted(parameters(operator))


@pytest.mark.parametrize("operator", OPERATORS)
def test_the_example_of_the_docstring_constructs_the_operator(operator: type):
    (example,) = re.findall(r"Example::\n\n((?:    .*\n|\n)+?)(?=\n?:param)", inspect.getdoc(operator) or "")
    assert isinstance(eval(textwrap.dedent(example), {operator.__name__: operator}), operator)


def test_every_argument_of_airflows_operators_is_known():
    taken = inspect.signature(BaseOperator.__init__).parameters.values()
    names = {one.name for one in taken if one.name != "self" and one.kind is not one.VAR_KEYWORD}
    assert names <= set(TaskArguments.__annotations__)


def test_types_names_what_a_value_can_become():
    assert set(get_args(AttributeType)) == set(CONVERTERS)


def mypy(folder: Path, source: str) -> list[str]:
    (folder / "calls.py").write_text(source)
    command = [sys.executable, "-m", "mypy", "--strict", "--config-file=", "--no-error-summary", "calls.py"]
    return subprocess.run(
        command, cwd=folder, capture_output=True, text=True, check=False, timeout=300
    ).stdout.splitlines()


@pytest.mark.airflow_3
def test_mypy_finds_each_wrong_call_and_takes_the_right_ones(tmp_path: Path):
    expected = {
        number: line.partition("  # ")[2]
        for number, line in enumerate(WRONG_CALLS.splitlines(), 1)
        if "  # " in line
    }
    found = {}
    for line in mypy(tmp_path, WRONG_CALLS):
        if error := re.fullmatch(r"calls\.py:(\d+): error: .*\[([\w-]+)\]", line):
            found[int(error[1])] = error[2]
    assert found == expected
    assert mypy(tmp_path, RIGHT_CALLS) == []
