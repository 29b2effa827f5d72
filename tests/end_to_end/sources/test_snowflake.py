"""Snowflake as the source of rows: Airflow's hook and Snowflake's connector as they are, the server behind them a stub."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from airflow_provider_moengage.operators.users import MoEngageTrackUsersOperator
from tests.end_to_end.cancellation.test_kill import FOR_EVER, ended
from tests.end_to_end.rows import outcome
from tests.end_to_end.tracker import Tracker
from tests.end_to_end.tries import Task
from tests.support.snowflake import CANCEL, Snowflake, column, connection_json
from tests.support.task_state_store import TaskStateStore
from tests.support.type_tables import differences, examples
from tests.support.warehouse_stub import running

connector = pytest.importorskip("snowflake.connector", reason="Snowflake's connector is not installed")
pytest.importorskip(
    "airflow.providers.snowflake.hooks.snowflake",
    reason="Snowflake's provider is not installed",
    exc_type=ImportError,
)

SOURCE = {"sql": "select * from customers", "sql_conn_id": "warehouse"}
#: What the server returns for the page's examples: the type, its scale, and the value in the JSON form.
WIRE = {
    "NUMBER(38, 0)": ("FIXED", 0),
    "NUMBER(12, 2)": ("FIXED", 2),
    "FLOAT": ("REAL", None),
    "VARCHAR": ("TEXT", None),
    "TIMESTAMP_NTZ": ("TIMESTAMP_NTZ", 9),
    "TIMESTAMP_LTZ": ("TIMESTAMP_LTZ", 9),
    "TIMESTAMP_TZ": ("TIMESTAMP_TZ", 9),
    "TIME": ("TIME", 9),
}
VALUES = {
    "true": "1",
    "'gold'": "gold",
    "'NaN'": "NaN",
    "'inf'": "inf",
    "x'dead'": "DEAD",
    "'2026-02-28'": "20512",
    "'9999-12-31'": "2932896",
    "'10000-01-01'": "2932897",
    "'10:00:00'": "36000.000000000",
    "'2026-01-31 10:00:00.5'": "1769853600.500000000",
    "'2026-01-31 10:00:00+05:30'": "1769833800.000000000",
    "'10000-01-01 00:00:00'": "253402300800.000000000",
    "'2026-01-31 10:00:00 +0530'": "1769833800.000000000 1770",
    'parse_json(\'{"a": {"b": 1}}\')': '{\n  "a": {\n    "b": 1\n  }\n}',
    "object_construct('a', 1)": '{\n  "a": 1\n}',
    "array_construct('x', 'y')": '[\n  "x",\n  "y"\n]',
    "to_variant('x')": '"x"',
    "'POINT(1 2)'": '{"coordinates":[1,2],"type":"Point"}',
}


@pytest.fixture
def warehouse(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[Snowflake], Snowflake]]:
    """Have the connection ``warehouse`` lead to a stub, without TLS."""
    connect = connector.connect
    monkeypatch.setattr(connector, "connect", lambda **given: connect(**given, protocol="http"))
    with ExitStack() as stack:

        def use(stub: Snowflake) -> Snowflake:
            port = stack.enter_context(running(stub))
            monkeypatch.setenv("AIRFLOW_CONN_WAREHOUSE", connection_json(port))
            return stub

        yield use


def test_every_type_becomes_what_the_page_says(
    track: Tracker, warehouse: Callable[[Snowflake], Snowflake], tmp_path: Path
):
    told = examples("Snowflake")
    columns = [column("CUSTOMER_ID", "TEXT")]
    rows: list[list[str | None]] = []
    for number, example in enumerate(told):
        kind, scale = WIRE.get(example.type, (example.type, None))
        columns.append(column(f"VALUE_{number}", kind, 38 if kind == "FIXED" else None, scale))
        cells: list[str | None] = [f"user-{number}", *(None for _ in told)]
        cells[number + 1] = VALUES.get(example.literal, example.literal)
        rows.append(cells)
    warehouse(Snowflake(columns, [*rows, ["nobody", *(None for _ in told)]]))
    assert differences(track, tmp_path, told, fold_columns="lower", **SOURCE) == []


def test_names_of_columns_are_as_the_page_says(track: Tracker, warehouse: Callable[[Snowflake], Snowflake]):
    columns = [column("CUSTOMER_ID", "TEXT"), column("PLAN", "TEXT"), column("Points", "FIXED", 38, 0)]
    warehouse(Snowflake(columns, [["ann", "gold", "5"]]))
    assert outcome(track(id_column="CUSTOMER_ID", **SOURCE)) == (1, 0, 0)
    assert track.attributes() == {"ann": {"PLAN": "gold", "Points": 5}}


def test_a_statement_that_hangs_is_cancelled_with_its_task(
    track: Tracker, warehouse: Callable[[Snowflake], Snowflake]
):
    stub = warehouse(Snowflake([column("CUSTOMER_ID", "TEXT")], [], hangs=True))
    ended(Task(MoEngageTrackUsersOperator, TaskStateStore(), **SOURCE), stub.running.is_set)
    assert stub.cancelled.wait(FOR_EVER)
    assert CANCEL in stub.statements
