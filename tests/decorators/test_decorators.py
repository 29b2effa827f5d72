"""What a decorator accepts is checked when the DAG is parsed."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Sequence
from importlib import import_module
from typing import Any

import pytest

from airflow_provider_moengage.api.errors import MoEngageParameterError
from airflow_provider_moengage.decorators import MODULES
from airflow_provider_moengage.decorators.base import code_of
from airflow_provider_moengage.decorators.cohorts import moengage_sync_cohort_task
from airflow_provider_moengage.decorators.users import moengage_track_users_task
from airflow_provider_moengage.operators.resumption import fingerprint_of

ROWS = {
    "moengage_track_users": "users",
    "moengage_unset_attributes": "users",
    "moengage_track_events": "events",
    "moengage_bulk_import": "elements",
    "moengage_sync_cohort": "members",
}


def task_of(name: str) -> Callable[..., Any]:
    task: Callable[..., Any] = getattr(
        import_module(f"airflow_provider_moengage.decorators.{MODULES[name]}"), f"{name}_task"
    )
    return task


def operator_of(function: Callable[..., Any], *arguments: Any, **parameters: Any) -> Any:
    return moengage_track_users_task(**parameters)(function)(*arguments).operator


async def awaited() -> list[dict[str, Any]]:
    return []


async def awaited_rows() -> Any:
    yield {}


@functools.wraps(awaited_rows)
def wrapped() -> Any:
    return awaited_rows()


@pytest.mark.parametrize("name", MODULES)
@pytest.mark.parametrize("function", [awaited, awaited_rows, wrapped])
def test_async_functions_are_named_when_the_dag_is_parsed(name: str, function: Callable[..., Any]):
    for decorate in (task_of(name), task_of(name)(max_rejected=1)):
        with pytest.raises(MoEngageParameterError) as caught:
            decorate(function)
        for words in (f"@task.{name}", f"async function {function.__name__}()", "asyncio.run()"):
            assert words in str(caught.value)


@pytest.mark.parametrize("name", MODULES)
@pytest.mark.parametrize("source", ["rows", "sql", "sql_conn_id", "parameters", "path", "sql_hook_params"])
def test_parameters_of_another_source_are_named(name: str, source: str):
    source = ROWS[name] if source == "rows" else source
    with pytest.raises(MoEngageParameterError, match=f"^{source} is given to @task.{name}"):
        task_of(name)(**{source: "x"})


@pytest.mark.parametrize("parameters", [{"users": []}, {"path": "file:///customers.csv"}])
def test_parameters_of_another_source_are_named_when_they_override(parameters: dict[str, Any]):
    (source,) = parameters
    with pytest.raises(MoEngageParameterError, match=f"^{source} is given to @task.moengage_track_users"):
        moengage_track_users_task(list, task_id="t").override(**parameters)()


class Customers:
    def __call__(self) -> list[Any]:
        return []


@pytest.mark.parametrize("function", [functools.partial(list), Customers()])
def test_a_function_without_a_name_is_refused_with_a_sentence(function: Any):
    with pytest.raises(MoEngageParameterError, match="call it in a function of your own"):
        moengage_track_users_task(task_id="t")(function)


@pytest.mark.parametrize("name", MODULES)
def test_several_outputs_are_refused(name: str):
    with pytest.raises(MoEngageParameterError, match="multiple_outputs is True"):
        task_of(name)(multiple_outputs=True)


def test_a_report_is_one_output_whatever_the_function_is_annotated_with():
    def customers() -> dict[str, Any]:
        return {}

    assert operator_of(customers).multiple_outputs is False
    assert operator_of(customers, multiple_outputs=False).multiple_outputs is False


def test_an_argument_in_place_of_a_function_is_named():
    with pytest.raises(MoEngageParameterError, match=r"given list in place of a function"):
        moengage_track_users_task([{"customer_id": "ann"}])  # type: ignore[call-overload]


@pytest.mark.parametrize(
    ("parameters", "words"),
    [
        ({"max_rejected": "1"}, "max_rejected"),
        ({"nulls": "drop"}, "nulls"),
        ({"encoding": "utf-8"}, "encoding is given without path"),
        ({"deferrable": True, "durable": False}, "deferrable"),
    ],
)
def test_wrong_parameters_of_the_operator_are_named(parameters: dict[str, Any], words: str):
    with pytest.raises(MoEngageParameterError, match=words):
        operator_of(list, **parameters, task_id="t")


@pytest.mark.parametrize("name", MODULES)
def test_rows_are_no_templated_field(name: str):
    operator = task_of(name).__globals__
    (decorated,) = (
        one for one in operator.values() if getattr(one, "custom_operator_name", None) == f"@task.{name}"
    )
    fields = decorated.template_fields
    assert set(fields).isdisjoint({ROWS[name], "sql", "sql_conn_id", "parameters", "path"})
    assert {"op_args", "op_kwargs", "moengage_conn_id", "staging_path", "rejected_path"} <= set(fields)
    assert decorated.template_ext == ()


def test_parameters_reach_the_operator():
    def members() -> list[str]:
        return []

    decorate = moengage_sync_cohort_task(cohort_id="c", cohort_name="C", partner="p", mode="add", retries=3)
    operator = decorate(members)().operator
    assert (operator.task_id, operator.mode, operator.retries) == ("members", "add", 3)
    assert operator.mapping.partner == "p"


def test_the_function_s_code_and_arguments_are_part_of_the_fingerprint():
    def one(n: int = 0) -> Any:
        yield from ({"customer_id": str(number + 1)} for number in range(n))

    def other(n: int = 0) -> Any:
        yield from ({"customer_id": str(number + 2)} for number in range(n))

    other.__qualname__ = one.__qualname__
    prints = [
        fingerprint_of(operator_of(function, *arguments, task_id="t"))
        for function, arguments in ((one, ()), (one, ()), (one, (1,)), (one, (2,)), (other, ()))
    ]
    assert prints[0] == prints[1]
    assert len(set(prints)) == 4


def test_an_upstream_output_that_is_loaded_on_use_is_not_loaded_for_the_fingerprint():
    class Outputs(Sequence[Any]):
        def __init__(self) -> None:
            self.task_instance = f"of try {id(self)}"

        def __len__(self) -> int:
            raise AssertionError("loaded")

        def __getitem__(self, key: Any) -> Any:
            raise AssertionError("loaded")

    def customers(rows: Any) -> Any:
        return rows

    one, other = Outputs(), Outputs()
    prints = {fingerprint_of(operator_of(customers, rows, task_id="t")) for rows in (one, other)}
    assert len(prints) == 1


def test_the_code_of_a_wrapped_function_is_its_own():
    def plain() -> list[Any]:
        return [1]

    @functools.wraps(plain)
    def around() -> list[Any]:
        return plain()

    assert code_of(around) == code_of(plain)
    assert code_of(functools.partial(plain)) is None
    assert code_of(print) is None


def test_airflow_s_own_signature_is_kept():
    def customers(plan: str, ds: str | None = None) -> list[Any]:
        return [plan, ds]

    with pytest.raises(TypeError, match="plan"):
        operator_of(customers)
    assert inspect.signature(moengage_track_users_task(customers).function) == inspect.signature(customers)
