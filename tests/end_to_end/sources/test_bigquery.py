"""BigQuery as the source of rows: Airflow's hook and Google's client as they are, the API behind them a stub."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_moengage.exceptions import MoEngageTaskFailed
from airflow_provider_moengage.operators.users import MoEngageTrackUsersOperator
from tests.end_to_end.cancellation.test_kill import FOR_EVER, ended
from tests.end_to_end.rows import outcome
from tests.end_to_end.tracker import Tracker
from tests.end_to_end.tries import Task
from tests.support.bigquery import CONNECTION, BigQuery
from tests.support.leaks import PERSON
from tests.support.task_state_store import TaskStateStore
from tests.support.type_tables import differences, examples
from tests.support.warehouse_stub import running

bigquery = pytest.importorskip(
    "airflow.providers.google.cloud.hooks.bigquery",
    reason="Google's provider is not installed",
    exc_type=ImportError,
)

SOURCE = {"sql": "select * from shop.customers", "sql_conn_id": "warehouse"}
ID = {"name": "customer_id", "type": "STRING", "mode": "NULLABLE"}
#: What the API returns for the examples of the page: documented under TableFieldSchema and tabledata.list.
WIRE = {
    "'NaN'": "NaN",
    "'Infinity'": "Infinity",
    "'gold'": "gold",
    "b'\\xde\\xad'": "3q0=",
    "'2026-02-28'": "2026-02-28",
    "'0001-01-01'": "0001-01-01",
    "'10:00:00'": "10:00:00",
    "'2026-01-31 10:00:00.5'": "2026-01-31T10:00:00.500000",
    "'2026-01-31 10:00:00+05:30'": "1769833800000000",
    "'9999-12-31 23:59:59+00'": "253402300799000000",
    "'1-2 3 4:5:6'": "1-2 3 4:5:6",
    "'POINT(1 2)'": "POINT(1 2)",
    'json \'{"a": {"b": 1}}\'': '{"a":{"b":1}}',
    "json '[1, 2]'": "[1,2]",
    "['x', 'y']": [{"v": "x"}, {"v": "y"}],
    "[1, 2]": [{"v": "1"}, {"v": "2"}],
    "[]": [],
    "['2026-02-28']": [{"v": "2026-02-28"}],
    "(1, 'x')": {"f": [{"v": "1"}, {"v": "x"}]},
    "(1, null)": {"f": [{"v": "1"}, {"v": None}]},
    "[(1, 'x')]": [{"v": {"f": [{"v": "1"}, {"v": "x"}]}}],
    "'[2026-01-31, 2026-02-28)'": "[2026-01-31, 2026-02-28)",
}


def field(name: str, kind: str) -> dict[str, Any]:
    """Return the schema of a column."""
    repeated = re.fullmatch(r"ARRAY<(.*)>", kind)
    if repeated:
        return {**field(name, repeated[1]), "mode": "REPEATED"}
    found = {"name": name, "type": kind, "mode": "NULLABLE"}
    if kind.startswith("STRUCT<"):
        inner = (member.split(" ") for member in kind[len("STRUCT<") : -1].split(", "))
        return {**found, "type": "RECORD", "fields": [field(*member) for member in inner]}
    if kind.startswith("RANGE<"):
        return {**found, "type": "RANGE", "rangeElementType": {"type": kind[len("RANGE<") : -1]}}
    # The API has the names of legacy SQL for these.
    return {**found, "type": {"INT64": "INTEGER", "FLOAT64": "FLOAT", "BOOL": "BOOLEAN"}.get(kind, kind)}


@pytest.fixture
def warehouse(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[BigQuery], BigQuery]]:
    """Have the connection ``warehouse`` lead to a stub."""
    from google.api_core.client_options import ClientOptions

    with ExitStack() as stack:

        def use(stub: BigQuery) -> BigQuery:
            endpoint = f"http://127.0.0.1:{stack.enter_context(running(stub))}"
            monkeypatch.setattr(
                bigquery.BigQueryHook, "get_client_options", lambda hook: ClientOptions(api_endpoint=endpoint)
            )
            monkeypatch.setenv("AIRFLOW_CONN_WAREHOUSE", CONNECTION)
            return stub

        yield use


def test_every_type_becomes_what_the_page_says(
    track: Tracker, warehouse: Callable[[BigQuery], BigQuery], tmp_path: Path
):
    told = examples("BigQuery")
    fields = [ID, *(field(f"value_{number}", example.type) for number, example in enumerate(told))]
    nulls: list[Any] = [[] if column["mode"] == "REPEATED" else None for column in fields[1:]]
    rows = []
    for number, example in enumerate(told):
        cells = [f"user-{number}", *nulls]
        cells[number + 1] = WIRE.get(example.literal, example.literal)
        rows.append(cells)
    warehouse(BigQuery(fields, [*rows, ["nobody", *nulls]]))
    assert differences(track, tmp_path, told, **SOURCE) == []


def test_rows_are_read_in_pages(track: Tracker, warehouse: Callable[[BigQuery], BigQuery]):
    count = 25_000
    stub = warehouse(
        BigQuery([ID, field("n", "INT64")], [[f"user-{number}", str(number)] for number in range(count)])
    )
    track.sandbox.settings(bulk_users_per_minute=10_000_000, requests_kept=0)
    assert outcome(track(bulk=True, **SOURCE)) == (count, 0, 0)
    assert max(stub.pages) == 10_000


def test_a_statement_that_hangs_is_cancelled_with_its_task(
    track: Tracker, warehouse: Callable[[BigQuery], BigQuery]
):
    stub = warehouse(BigQuery([ID], [], hangs=True))
    ended(Task(MoEngageTrackUsersOperator, TaskStateStore(), **SOURCE), stub.running.is_set)
    assert stub.cancelled.wait(FOR_EVER)


@pytest.mark.parametrize(
    "message", ["Unrecognized name: planname at [1:8]", "Syntax error: Unexpected identifier"]
)
def test_a_wrong_statement_is_told_once(
    track: Tracker, warehouse: Callable[[BigQuery], BigQuery], message: str
):
    warehouse(BigQuery([ID], [], error=message))
    assert message in str(track.fails(MoEngageTaskFailed, **SOURCE))


def test_a_value_stays_out_of_the_error(track: Tracker, warehouse: Callable[[BigQuery], BigQuery]):
    warehouse(BigQuery([ID], [], error=f"Bad int64 value: {PERSON}"))
    assert PERSON not in str(track.fails(MoEngageTaskFailed, **SOURCE))
