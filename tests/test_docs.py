"""The examples of the README and of the documentation are run as they stand there, and tables are as the code is."""

from __future__ import annotations

import inspect
import json
import re
from dataclasses import fields
from math import ceil
from pathlib import Path

import airflow
import pytest

from airflow_provider_moengage.get_provider_info import FORM_FIELDS
from airflow_provider_moengage.hooks import metrics
from airflow_provider_moengage.operations import OPERATIONS, QUOTAS
from airflow_provider_moengage.operations.get_users import GET_USERS
from airflow_provider_moengage.operators.base import MoEngageSendOperator
from airflow_provider_moengage.operators.bulk import MoEngageBulkImportOperator
from airflow_provider_moengage.operators.cohorts import MoEngageSyncCohortOperator
from airflow_provider_moengage.operators.devices import (
    MoEngageOptOutDevicesOperator,
    MoEngageTrackDevicesOperator,
)
from airflow_provider_moengage.operators.events import MoEngageTrackEventsOperator
from airflow_provider_moengage.operators.users import (
    MoEngageDeleteUsersOperator,
    MoEngageGetUsersOperator,
    MoEngageMergeUsersOperator,
    MoEngageTrackUsersOperator,
    MoEngageUnsetAttributesOperator,
)
from airflow_provider_moengage.sandbox.faults import KINDS
from airflow_provider_moengage.sandbox.settings import Settings
from airflow_provider_moengage.sensors.users import MoEngageUsersArrivedSensor
from airflow_provider_moengage.typing import Report
from tests.support.dag_runs import ROOT

DOCS = ROOT / "docs"
SENSOR_PAGE = DOCS / "users-arrived.md"
CHANGES_PAGE = DOCS / "only-what-changed.md"
PAGES = [ROOT / "README.md", *sorted(DOCS.rglob("*.md"))]
AIRFLOW_MAJOR = int(airflow.__version__.partition(".")[0])
PYTHON = re.compile(r"^```python(?: title=\"[^\"]+\")?\n(.*?)^```$", re.MULTILINE | re.DOTALL)
#: What is on these pages is run by tests of their own: test_quick_start.py and test_recipes.py.
OWN_TESTS = {"tutorial.md", "recipes.md"}
BLOCKS = [
    pytest.param(block, id=f"{page.name}-{number}")
    for page in PAGES
    if page.name not in OWN_TESTS
    for number, block in enumerate(PYTHON.findall(page.read_text()))
]
DAGS = [block for block in BLOCKS if re.search(r"^(@dag|with DAG)\(", str(block.values[0]), re.MULTILINE)]
TESTS = [block for block in BLOCKS if "\ndef test_" in str(block.values[0])]

OPERATORS: dict[str, type[MoEngageSendOperator]] = {
    "track-users.md": MoEngageTrackUsersOperator,
    "unset-attributes.md": MoEngageUnsetAttributesOperator,
    "get-users.md": MoEngageGetUsersOperator,
    "merge-users.md": MoEngageMergeUsersOperator,
    "delete-users.md": MoEngageDeleteUsersOperator,
    "track-events.md": MoEngageTrackEventsOperator,
    "track-devices.md": MoEngageTrackDevicesOperator,
    "opt-out-devices.md": MoEngageOptOutDevicesOperator,
    "bulk-import.md": MoEngageBulkImportOperator,
    "sync-cohort.md": MoEngageSyncCohortOperator,
}


#: Where Airflow 2 has what is in ``airflow.sdk`` in Airflow 3.
IN_AIRFLOW_2 = {"DAG": "airflow", "task": "airflow.decorators", "Variable": "airflow.models"}


def on_this_airflow(example: str, major: int = AIRFLOW_MAJOR) -> str:
    """Return an example with the one import changed that its page says is another on Airflow 2."""
    if major >= 3:
        return example
    return re.sub(
        r"^from airflow\.sdk import (.*)\n",
        lambda found: "".join(f"from {IN_AIRFLOW_2[name]} import {name}\n" for name in found[1].split(", ")),
        example,
        flags=re.MULTILINE,
    )


def test_every_example_is_a_dag_or_a_test_and_so_is_run():
    assert {block.id for block in BLOCKS} == {block.id for block in (*DAGS, *TESTS)}


@pytest.mark.parametrize("name", OPERATORS)
def test_the_page_of_every_operator_has_an_example(name):
    assert any(str(block.id).startswith(name) for block in BLOCKS)


@pytest.mark.parametrize("example", DAGS)
def test_a_dag_of_the_docs_runs(example, run_dag, moengage_sandbox, sqlite_warehouse, tmp_path):
    sqlite_warehouse(
        """
        create table customers (customer_id text, plan_name text, lifetime_value real, last_order_at text);
        insert into customers values ('a1', 'gold', 12.5, '2026-01-31 18:05:00'), ('a2', null, 0, null);
        """
    )
    file = tmp_path / "example.py"
    file.write_text(on_this_airflow(example))
    outcome = run_dag(
        file,
        AIRFLOW_CONN_MOENGAGE_DEFAULT=moengage_sandbox.connection_json,
        AIRFLOW_CONN_WAREHOUSE=json.dumps({"conn_type": "sqlite", "host": str(tmp_path / "warehouse.db")}),
        AIRFLOW__MOENGAGE__SNAPSHOT_PATH=(tmp_path / "snapshots").as_uri(),
    )
    assert outcome["state"] == "success"
    assert moengage_sandbox.users("a1")["a1"]["attributes"] == {
        "plan": "gold",
        "ltv": 12.5,
        "last_order": "2026-01-31T12:35:00Z",
    }
    assert moengage_sandbox.bent() == []


def test_the_tests_of_the_docs_pass(pytester: pytest.Pytester):
    # All in one run, because importing Airflow takes longer than they do; a failure shows page and number.
    files = {
        "test_" + re.sub(r"\W", "_", str(block.id)): str(block.values[0]).replace("\r", "") for block in TESTS
    }
    assert len(files) == len(TESTS)
    pytester.makepyfile(**files)
    pytester.runpytest_subprocess("-q", "-W", "ignore::DeprecationWarning").assert_outcomes(passed=len(TESTS))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_of_the_docs_lead_somewhere(page: Path):
    for link in re.findall(r"\]\((?!https?:)([^)#]+)\)", page.read_text()):
        assert (page.parent / link).exists(), link


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_files_that_the_docs_name_exist(page: Path):
    for file in re.findall(r"`(example_dags/[\w./]+)`", page.read_text()):
        assert (ROOT / file).is_file(), file


def tables(page: Path, first_column: str) -> list[dict[str, str]]:
    """Read the tables of a page whose first column has this head: the names, and what stands beside them."""
    found = re.findall(rf"^\| {first_column} \|.*\n\|[-|]+\|\n((?:\|.*\n)+)", page.read_text(), re.MULTILINE)
    return [
        {
            name: cells[1].strip()
            for cells in (re.split(r" \| ", row.strip("| \n"), maxsplit=2) for row in rows.splitlines())
            for name in re.findall(r"`(\w+)`", cells[0])
        }
        for rows in found
    ]


def written(defaults: dict[str, object]) -> dict[str, str]:
    """Write defaults as the docs do: texts in double quotes."""
    return {
        name: "required"
        if value is inspect.Parameter.empty
        else "`" + (json.dumps(value) if isinstance(value, str) else repr(value)) + "`"
        for name, value in defaults.items()
    }


def defaults(operator: type[MoEngageSendOperator | MoEngageUsersArrivedSensor]) -> dict[str, object]:
    parameters = inspect.signature(operator.__init__).parameters.values()
    # The base class takes a mapping too, which operators build of the parameters that are their own.
    return {
        one.name: one.default for one in parameters if one.kind is one.KEYWORD_ONLY and one.name != "mapping"
    }


def own_defaults(operator: type[MoEngageSendOperator]) -> dict[str, object]:
    """Return the parameters that not all operators have."""
    shared = defaults(MoEngageSendOperator)
    return {name: value for name, value in defaults(operator).items() if name not in shared}


def shared_defaults(*, by_all: bool) -> dict[str, object]:
    """Return the parameters of the base class that all operators have, or those that only some have."""
    of_each = [defaults(operator) for operator in OPERATORS.values()]
    return {
        name: value
        for name, value in defaults(MoEngageSendOperator).items()
        if all(name in one for one in of_each) is by_all
    }


def test_the_shared_parameters_are_those_that_all_operators_have():
    (documented,) = tables(DOCS / "rows.md", "parameter")
    assert documented == written(shared_defaults(by_all=True))


def test_the_parameters_that_some_operators_share_are_on_a_page_that_theirs_link_to():
    (documented,) = tables(CHANGES_PAGE, "parameter")
    assert documented == written(shared_defaults(by_all=False))
    linking = {name for name in OPERATORS if f"{CHANGES_PAGE.name}#parameters" in (DOCS / name).read_text()}
    for name, operator in OPERATORS.items():
        missing = documented.keys() - defaults(operator).keys()
        # A cohort is always compared, so there is no switch.
        expected = {"changed_only"} if name == "sync-cohort.md" else set()
        assert missing == (expected if name in linking else set(documented)), name


@pytest.mark.parametrize("name", OPERATORS)
def test_the_parameters_of_a_page_are_those_of_its_operator(name):
    (documented,) = tables(DOCS / name, "parameter")
    assert documented == written(own_defaults(OPERATORS[name]))


def test_the_parameters_of_the_sensor_s_page_are_those_of_the_sensor():
    (documented,) = tables(SENSOR_PAGE, "parameter")
    own = {name: one for name, one in defaults(MoEngageUsersArrivedSensor).items() if name != "sample_path"}
    assert documented == {"sample_path": "required", **written(own)}


def test_the_shares_that_a_sample_proves_are_those_of_the_formula():
    (documented,) = re.findall(
        r"^\| sample \|.*\n\|[-|]+\|\n((?:\|.*\n)+)", SENSOR_PAGE.read_text(), re.MULTILINE
    )
    for row in documented.splitlines():
        size, share, requests = re.findall(r"[\d,.]+", row)
        users = int(size.replace(",", ""))
        assert share == f"{100 * (1 - 0.05 ** (1 / users)):.2f}"
        assert int(requests) == ceil(users / GET_USERS.endpoint.max_records)


def test_the_settings_of_the_sandbox_are_documented():
    (documented,) = tables(DOCS / "sandbox.md", "setting")
    assert documented == {
        setting.name: "`"
        + json.dumps(list(setting.default) if isinstance(setting.default, tuple) else setting.default)
        + "`"
        for setting in fields(Settings)
    }


def test_the_faults_of_the_sandbox_are_documented():
    (documented,) = tables(DOCS / "sandbox.md", "kind")
    assert set(documented) == set(KINDS)


def test_the_limits_and_fields_of_a_connection_are_documented():
    (limits,) = tables(DOCS / "connection.md", "name")
    assert set(limits) == set(QUOTAS)
    (named,) = tables(DOCS / "connection.md", "field")
    assert set(FORM_FIELDS) <= set(named)


def test_metrics_and_their_operations_are_documented():
    page = (DOCS / "rows.md").read_text()
    documented = re.findall(r"^\| `(moengage\.\w+)` \|", page, re.MULTILINE)
    assert documented == [metrics.ROWS_ACCEPTED, metrics.ROWS_REJECTED, metrics.THROTTLED_SECONDS]
    (operations,) = re.findall(r"Their one tag is `operation`, (.*?)\. With", page, re.DOTALL)
    sent = {endpoint for operation in OPERATIONS for endpoint in operation.endpoints}
    assert set(re.findall(r"`(\w+)`", operations)) == {metrics.operation_of(one) for one in sent}


def test_what_a_report_holds_is_documented(moengage_sandbox_connection):
    always, more = tables(DOCS / "rows.md", "key")
    push = MoEngageTrackUsersOperator(task_id="push", users=[{"customer_id": "a1", "plan": "gold"}])
    assert set(always) == set(push.execute({}))
    assert set(more) == set(Report.__annotations__) - set(always)


def test_the_loop_of_the_comparison_is_that_of_the_benchmarks():
    assert "in less than a thirteenth of the time" in re.sub(
        r"\s+", " ", (DOCS / "comparison.md").read_text()
    )
    (row,) = re.findall(
        r"^\| latency\.wall \| (.*) \|$", (ROOT / "benchmarks/RESULTS.md").read_text(), re.MULTILINE
    )
    what, _, measured, *_, outcome = row.split(" | ")
    assert what == "time per user, single requests, concurrency=16, 50 ms, against session"
    assert outcome == "reached"
    assert float(measured) < 1 / 13
