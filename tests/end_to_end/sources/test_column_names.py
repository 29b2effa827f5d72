"""Names of columns: white space at their ends, and upper and lower case, in every kind of source."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from airflow_provider_moengage.api.errors import MoEngageParameterError
from airflow_provider_moengage.delivery.shape.column_names import BLANKS, ColumnNames
from airflow_provider_moengage.delivery.shape.unreadable import Unreadable
from airflow_provider_moengage.exceptions import MoEngageTaskFailed
from airflow_provider_moengage.operators.bulk import MoEngageBulkImportOperator
from airflow_provider_moengage.operators.devices import (
    MoEngageOptOutDevicesOperator,
    MoEngageTrackDevicesOperator,
)
from airflow_provider_moengage.operators.events import MoEngageTrackEventsOperator
from airflow_provider_moengage.operators.get_users import MoEngageGetUsersOperator
from airflow_provider_moengage.operators.users import (
    MoEngageDeleteUsersOperator,
    MoEngageMergeUsersOperator,
    MoEngageTrackUsersOperator,
    MoEngageUnsetAttributesOperator,
)
from tests.end_to_end.rows import outcome, refused
from tests.end_to_end.tracker import Tracker

Warehouse = Callable[..., None]
#: What surrounds names in files of spreadsheets and in exports.
AROUND = [
    " ",
    "  ",
    "\t",
    "\u00a0",
    "\ufeff",
    "\u200b",
    "\u200c",
    "\u200d",
    "\u2060",
    "\u2003",
    "\u3000",
    "\u202f \ufeff",
]


@pytest.fixture
def said(caplog: pytest.LogCaptureFixture) -> Callable[[], str]:
    caplog.set_level(logging.WARNING)
    return lambda: caplog.text


@pytest.mark.parametrize("blank", AROUND, ids=ascii)
def test_blanks_around_the_names_of_a_list(track: Tracker, said: Callable[[], str], blank: str):
    rows = [
        {f"customer_id{blank}": "ann", f"{blank}plan": "gold", f"{blank}n{blank}": 1},
        {"customer_id": "ben"},
    ]
    assert outcome(track(users=rows * 20)) == (40, 0, 0)
    assert track.attributes() == {"ann": {"plan": "gold", "n": 1}, "ben": {}}
    assert said().count("3 column names had blanks") == 1


@pytest.mark.parametrize("staged", [False, True])
@pytest.mark.parametrize("bulk", [False, True])
def test_blanks_around_the_names_of_a_query(
    track: Tracker,
    sqlite_warehouse: Warehouse,
    said: Callable[[], str],
    tmp_path: Path,
    bulk: bool,
    staged: bool,
):
    sqlite_warehouse("create table t (customer_id text, plan text); insert into t values ('ann', 'gold')")
    report = track(
        sql='select customer_id as "customer_id\u00a0", plan as " plan" from t',
        sql_conn_id="warehouse",
        bulk=bulk,
        staging_path=str(tmp_path) if staged else None,
    )
    assert outcome(report) == (1, 0, 0)
    assert said().count("2 column names had blanks") == 1
    assert track.attributes() == {"ann": {"plan": "gold"}}


def test_clean_names_are_no_matter_for_a_warning(track: Tracker, said: Callable[[], str]):
    track(users=[{"customer_id": "ann", "a b": 1}])
    assert track.attributes() == {"ann": {"a b": 1}}
    assert "column names" not in said()


@pytest.mark.parametrize("bulk", [False, True])
def test_upper_case_columns_of_a_query(track: Tracker, sqlite_warehouse: Warehouse, bulk: bool):
    sqlite_warehouse(
        "create table t (\"CUSTOMER_ID\" text, \"PLAN\" text); insert into t values ('ann', 'gold')"
    )
    source = {"sql": "select * from t", "sql_conn_id": "warehouse", "bulk": bulk}
    error = track.fails(MoEngageTaskFailed, **source)
    for words in ("'customer_id'", "'CUSTOMER_ID'", "only the case differs", "fold_columns='lower'"):
        assert words in str(error)
    assert track.requests == 0
    error = track.fails(MoEngageTaskFailed, **source, id_column="CUSTOMER_ID", attributes={"tier": "plan"})
    assert "'PLAN', where only the case differs" in str(error)
    assert outcome(track(**source, fold_columns="lower")) == (1, 0, 0)
    assert track.attributes() == {"ann": {"plan": "gold"}}


@pytest.mark.parametrize("bulk", [False, True])
def test_upper_case_columns_of_a_list(track: Tracker, tmp_path: Path, bulk: bool):
    rows = [{"CUSTOMER_ID": "ann", "PLAN": "gold"}]
    track(users=rows, bulk=bulk, max_rejected=1, rejected_path=str(tmp_path))
    (line,) = refused(tmp_path)
    assert "fold_columns='lower'" in line["reason"]
    assert "'CUSTOMER_ID', where only the case differs" in line["reason"]
    assert outcome(track(users=rows, bulk=bulk, fold_columns="lower")) == (1, 0, 0)
    assert track.attributes() == {"ann": {"plan": "gold"}}
    lower = [{"customer_id": "ben", "plan": "gold"}]
    track(users=lower, bulk=bulk, fold_columns="upper", id_column="CUSTOMER_ID", attributes={"tier": "PLAN"})
    assert track.attributes()["ben"] == {"tier": "gold"}


DEVICE = {"CUSTOMER_ID": "ann", "DEVICE_ID": "d1", "PLATFORM": "ANDROID", "PUSH_ID": "p1"}
OPERATORS: list[tuple[type, str, dict[str, Any], dict[str, Any]]] = [
    (MoEngageTrackUsersOperator, "users", {"CUSTOMER_ID": "ann"}, {}),
    (MoEngageUnsetAttributesOperator, "users", {"CUSTOMER_ID": "ann"}, {"unset": ["plan"]}),
    (
        MoEngageTrackEventsOperator,
        "events",
        {"CUSTOMER_ID": "ann", "ACTION": "b", "EVENT_TIME": 1700000000},
        {},
    ),
    (MoEngageTrackDevicesOperator, "devices", DEVICE, {}),
    (MoEngageOptOutDevicesOperator, "devices", {"CUSTOMER_ID": "ann"}, {"action": "block"}),
    (MoEngageGetUsersOperator, "users", {"CUSTOMER_ID": "ann"}, {}),
    (MoEngageMergeUsersOperator, "pairs", {"MERGED_USER": "ann", "RETAINED_USER": "ben"}, {}),
    (MoEngageDeleteUsersOperator, "users", {"CUSTOMER_ID": "ann"}, {}),
    (
        MoEngageBulkImportOperator,
        "elements",
        {"TYPE": "customer", "CUSTOMER_ID": "ann", "ATTRIBUTES": {"PLAN": "gold"}},
        {},
    ),
]


@pytest.mark.parametrize(
    ("operator", "noun", "row", "more"), OPERATORS, ids=lambda one: getattr(one, "__name__", "")
)
def test_every_operator_folds_and_says_so(
    track: Tracker,
    sqlite_warehouse: Warehouse,
    tmp_path: Path,
    operator: type,
    noun: str,
    row: dict[str, Any],
    more: dict[str, Any],
):
    track.sandbox.settings(unset_attributes=True, get_user=True)
    # There is no device to block.
    track.may_bend = True
    track.using(MoEngageTrackUsersOperator)(users=[{"customer_id": "ann"}, {"customer_id": "ben"}])
    track.using(operator)(**{noun: [row], **more}, max_rejected=1, rejected_path=str(tmp_path))
    (line,) = refused(tmp_path)
    assert "only the case differs" in line["reason"]
    assert "fold_columns='lower'" in line["reason"]
    if noun != "elements":
        columns = ", ".join(
            f"{json.dumps(value).replace(chr(34), chr(39))} as {name}" for name, value in row.items()
        )
        source = {"sql": f"select {columns}", "sql_conn_id": "warehouse"}
        sqlite_warehouse("select 1")
        assert "fold_columns='lower'" in str(track.fails(MoEngageTaskFailed, **source, **more))
        assert track(**source, **more, fold_columns="lower")["accepted"] == 1
    if noun not in ("pairs",):
        assert track(**{noun: [row], **more}, fold_columns="lower")["accepted"] == 1


def test_own_shape_rows_keep_the_apis_fields(track: Tracker):
    rows = [
        {"customer_id": "ann", "attributes": {"plan": "gold", "addValueToArrayField": {"tags": ["a"]}}},
        {
            "type": "customer",
            "customer_id": "ben",
            "attributes": {"Plan": "gold"},
            "update_existing_only": False,
        },
    ]
    assert outcome(track(users=rows, fold_columns="upper")) == (2, 0, 0)
    assert track.attributes() == {"ann": {"PLAN": "gold", "TAGS": ["a"]}, "ben": {"PLAN": "gold"}}
    track.using(MoEngageTrackEventsOperator)
    action = {"action": "Bought It", "current_time": 1700000000, "attributes": {" Price": 5}}
    track(events=[{"customer_id": "ann", "actions": [action]}], fold_columns="lower")
    (event,) = track.sandbox.events()
    assert (event["action"], event["attributes"]) == ("Bought It", {"price": 5})


@pytest.mark.parametrize(
    ("names", "fold"),
    [
        (("plan", "PLAN"), "lower"),
        (("plan", "Plan"), "upper"),
        (("plan", " plan"), None),
        (("a\u200b", "a"), None),
    ],
)
def test_two_columns_that_become_one(
    track: Tracker, sqlite_warehouse: Warehouse, tmp_path: Path, names: tuple[str, str], fold: Any
):
    id_column = "CUSTOMER_ID" if fold == "upper" else "customer_id"
    both = {"id_column": id_column, "fold_columns": fold}
    sqlite_warehouse("select 1")
    sql = f'select \'ann\' as customer_id, 1 as "{names[0]}", 2 as "{names[1]}"'
    try:
        error = track.fails(MoEngageTaskFailed, sql=sql, sql_conn_id="warehouse", **both)
    except AssertionError:
        pytest.skip("SQLite gives such columns other names itself")
    for name in names:
        assert ascii(name) in str(error)
    assert track.requests == 0
    rows = [{"customer_id": "ann", names[0]: 1, names[1]: 2}, {"customer_id": "ben", names[0]: 1}]
    report = track(users=rows, **both, max_rejected=1, rejected_path=str(tmp_path))
    assert outcome(report) == (1, 1, 0)
    (line,) = refused(tmp_path)
    assert (line["position"], line["code"], line["row"]) == (0, "column_twice", rows[0])
    for name in names:
        assert ascii(name) in line["reason"]


@pytest.mark.parametrize("fold", ["Lower", "", "title", True, 1, ["lower"]])
def test_another_case_is_a_wrong_parameter(fold: Any):
    with pytest.raises(MoEngageParameterError, match="fold_columns"):
        MoEngageTrackUsersOperator(task_id="push", users=[], fold_columns=fold)


NAMES = st.text(
    alphabet=st.sampled_from(["a", "B", " ", "\u00a0", "\ufeff", "\u200b", "_", "\u0130", "\u00df"]),
    max_size=6,
)


@settings(deadline=None)
@given(st.lists(NAMES, max_size=6), st.sampled_from([None, "lower", "upper"]))
def test_a_header_and_a_row_of_the_same_columns_get_the_same_names(names: list[str], fold: Any):
    unique = list(dict.fromkeys(names))
    row = dict(zip(unique, range(len(unique)), strict=True))
    renamed = ColumnNames(fold).row(row)
    try:
        header = ColumnNames(fold).header(unique)
    except MoEngageParameterError:
        assert isinstance(renamed, Unreadable)
        return
    for name in header:
        assert name == name.strip(BLANKS)
        assert fold is None or getattr(name, fold)() == name
    if isinstance(renamed, Unreadable):
        assert header.count("") > 1
    else:
        assert renamed == dict(zip(header, range(len(unique)), strict=True))


@settings(deadline=None)
@given(st.lists(st.dictionaries(NAMES, st.integers(), max_size=4), max_size=8))
def test_rows_are_named_alone_as_they_are_among_others(rows: list[dict[str, int]]):
    together = ColumnNames("lower")
    assert [together.row(row) for row in rows] == [ColumnNames("lower").row(row) for row in rows]
    assert list(ColumnNames("lower").rows(rows)) == [ColumnNames("lower").row(row) for row in rows]


def test_a_row_of_clean_names_is_the_row_itself():
    names = ColumnNames()
    own = {"customer_id": "ann", "attributes": {"plan": 1}}
    for row in ({"customer_id": "ann", "plan": 1}, own, "ann", 5, None, ["a"]):
        assert names.row(row) is row
        assert names.row(row) is row


def test_names_that_are_remembered_are_bounded(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("airflow_provider_moengage.delivery.shape.column_names.MAX_NAMES", 20)
    names = ColumnNames()
    for number in range(100):
        assert names.row({f" c{number}": 1, f"d{number}": 2}) == {f"c{number}": 1, f"d{number}": 2}
    assert len(names._clean_fields) <= 20
    assert len(names._stripped) <= 20
