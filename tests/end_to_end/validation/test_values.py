"""Objects, numbers as texts, and dates in other forms: as rows bring them, through every operator that takes attributes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_moengage.api.errors import MoEngageParameterError
from airflow_provider_moengage.exceptions import MoEngageTaskFailed
from airflow_provider_moengage.operators.bulk import MoEngageBulkImportOperator
from airflow_provider_moengage.operators.events import MoEngageTrackEventsOperator
from airflow_provider_moengage.operators.users import MoEngageTrackUsersOperator
from tests.end_to_end.rows import outcome, refused
from tests.end_to_end.tracker import Tracker

ORDERS = [
    {"sku": "a", "n": 1, "at": "2025-12-31T10:00:00.000+05:30"},
    {"sku": "b", "n": None, "size": {"w": 1.5, "h": None}},
]
SENT = [{"sku": "a", "n": 1, "at": "2025-12-31T04:30:00Z"}, {"sku": "b", "size": {"w": 1.5}}]


def as_user(value: Any) -> tuple[Any, dict[str, Any]]:
    return MoEngageTrackUsersOperator, {"users": [{"customer_id": "user-1", "value": value}]}


def as_own_user(value: Any) -> tuple[Any, dict[str, Any]]:
    row = {"type": "customer", "customer_id": "user-1", "attributes": {"value": value}}
    return MoEngageTrackUsersOperator, {"users": [row]}


def as_bulk_user(value: Any) -> tuple[Any, dict[str, Any]]:
    operator, parameters = as_user(value)
    return operator, {**parameters, "bulk": True}


def as_event(value: Any) -> tuple[Any, dict[str, Any]]:
    row = {"customer_id": "user-1", "action": "seen", "event_time": 5, "value": value}
    return MoEngageTrackEventsOperator, {"events": [row]}


def as_own_event(value: Any) -> tuple[Any, dict[str, Any]]:
    row = {"customer_id": "user-1", "actions": [{"action": "seen", "attributes": {"value": value}}]}
    return MoEngageTrackEventsOperator, {"events": [row]}


def as_element(value: Any) -> tuple[Any, dict[str, Any]]:
    return MoEngageBulkImportOperator, {
        "elements": [{"type": "customer", "customer_id": "user-1", "attributes": {"value": value}}]
    }


def as_event_element(value: Any) -> tuple[Any, dict[str, Any]]:
    action = {"action": "seen", "attributes": {"value": value}}
    return MoEngageBulkImportOperator, {
        "elements": [{"type": "event", "customer_id": "user-1", "actions": [action]}]
    }


places = pytest.mark.parametrize(
    "place", [as_user, as_own_user, as_bulk_user, as_event, as_own_event, as_element, as_event_element]
)
Place = Callable[[Any], "tuple[Any, dict[str, Any]]"]


def sent(track: Tracker) -> Any:
    """The one attribute of the one record that was sent."""
    (call,) = track.sandbox.requests()
    (record,) = call["body"].get("elements", [call["body"]])
    (attributes,) = [action["attributes"] for action in record.get("actions", [])] or [record["attributes"]]
    return attributes["value"]


@places
@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (ORDERS, SENT),
        ({"lines": ORDERS, "n": None}, None),
        ({"a": None, "b": {"c": None, "d": [1]}}, {"b": {"d": [1]}}),
        ([{"n": n} for n in range(100)], [{"n": n} for n in range(100)]),
        ("2025-12-31T10:00:00.000Z", "2025-12-31T10:00:00Z"),
        (["2025-12-31T10:00:00.123456Z", "2025-12-31T10:00:00+05:30"], ["2025-12-31T10:00:00Z", "2025-12-31T04:30:00Z"]),
    ],
)  # fmt: skip
def test_objects_and_instants_arrive_as_documented(track: Tracker, place: Place, value: Any, expected: Any):
    track.may_bend = True
    operator, parameters = place(value)
    report = track.using(operator)(max_rejected=1, **parameters)
    if expected is None:
        # Its lines are at the second level, and what is in them at the third.
        assert outcome(report) == (0, 1, 0)
    else:
        assert sent(track) == expected


@places
@pytest.mark.parametrize(
    ("value", "code"),
    [
        ({}, "object_empty"), ({"a": None}, "object_empty"), ([{"a": 1}, {}], "object_empty"),
        ({"a.b": 1}, "object_keys"), ([{"$a": 1}], "object_keys"), ({"k" * 201: 1}, "object_keys"),
        ({str(n): n for n in range(101)}, "object_keys"), ([{"n": n} for n in range(101)], "array_length"),
        ({"a": {"b": {"c": 1}}}, "object_levels"), ([[1]], "array_element_type"), ([{"a": 1}, 1], "array_mixed"),
        ([{str(n): "x" * 500 for n in range(60)}], "object_size"), ({1: 2}, "object_keys"),
        ("31/12/2025", "date_format"), (["12/31/2025 10:00"], "date_format"), ({"at": " 2025-12-31"}, "date_format"),
        ("2025-02-30T10:00:00.000Z", "date_format"), ("2025-12-31 10:00:00", "date_format"),
    ],
)  # fmt: skip
def test_what_would_be_dropped_or_bent_is_rejected(
    track: Tracker, tmp_path: Path, place: Place, value: Any, code: str
):
    operator, parameters = place(value)
    track.using(operator)(max_rejected=1, rejected_path=str(tmp_path), **parameters)
    assert [line["code"] for line in refused(tmp_path)] == [code]
    assert track.requests == 0


def test_the_remedies_that_a_reason_names_work(track: Tracker):
    row = {"customer_id": "user-1", "renews": "31/12/2025 10:00"}
    report = track(users=[row], max_rejected=1)
    (reason,) = report["reasons"]
    assert "types={'renews': 'datetime'}" in reason
    assert "31/12" not in reason
    track(users=[row], types={"renews": "datetime:%d/%m/%Y %H:%M"}, timezone="Asia/Kolkata")
    assert track.attributes() == {"user-1": {"renews": "2025-12-31T04:30:00Z"}}
    track.may_bend = True
    track(users=[row], types={"renews": "string"})
    assert track.attributes() == {"user-1": {"renews": "31/12/2025 10:00"}}


def test_texts_of_a_csv_become_what_types_says(track: Tracker, tmp_path: Path):
    (tmp_path / "users.csv").write_text(
        "customer_id,born,seen,mobile,on,epoch\nuser-1,31.12.1999,12/31/2025 10:00 PM,919876543210.0,1.0,1767175200000\n"
    )
    track(
        path=str(tmp_path / "users.csv"),
        types={
            "born": "date:%d.%m.%Y", "seen": "datetime:%m/%d/%Y %I:%M %p", "mobile": "string", "on": "boolean",
            "epoch": "datetime",
        },
        timezone="UTC",
    )  # fmt: skip
    assert track.attributes() == {
        "user-1": {
            "born": "1999-12-31", "seen": "2025-12-31T22:00:00Z", "mobile": "919876543210.0", "on": True,
            "epoch": "2025-12-31T10:00:00Z",
        }
    }  # fmt: skip


def test_whole_floats_of_a_database_are_digits(track: Tracker, sqlite_warehouse: Callable[..., None]):
    sqlite_warehouse(
        "create table customers (customer_id text, mobile real, big real, price real, flag real);"
        "insert into customers values ('user-1', 919876543210.0, 1e16, 1.5, 1.0);"
    )
    track(
        sql="select * from customers",
        sql_conn_id="warehouse",
        types={"mobile": "string", "big": "string", "price": "string", "flag": "boolean"},
    )
    assert track.attributes() == {
        "user-1": {"mobile": "919876543210", "big": "10000000000000000", "price": "1.5", "flag": True}
    }


def test_a_float_id_that_may_be_anothers_is_rejected(track: Tracker, sqlite_warehouse: Callable[..., None]):
    sqlite_warehouse(
        "create table customers (customer_id real);"
        "insert into customers values (9007199254740991.0), (9007199254740992.0), (1e20);"
    )
    report = track(sql="select * from customers", sql_conn_id="warehouse", max_rejected=2)
    assert outcome(report) == (1, 2, 0)
    assert list(track.attributes()) == ["9007199254740991"]


def test_the_values_of_a_database_as_texts(
    track: Tracker, postgres_server: Any, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("AIRFLOW_CONN_WAREHOUSE", postgres_server.connection_json)
    query = (
        "select 'ann' as customer_id, time '09:05' as opens, interval '1 day 1 second' as lasts, 1.10::numeric as price, "
        "'10.0.0.1'::inet as ip, '[1,2]'::int4range as range, timestamptz '2025-12-31 10:00+05:30' as at"
    )
    columns = ("opens", "lasts", "price", "ip", "at")
    track(sql=query, sql_conn_id="warehouse", attributes=columns, types=dict.fromkeys(columns, "string"))
    assert track.attributes() == {
        "ann": {
            "opens": "09:05:00", "lasts": "24:00:01", "price": "1.10", "ip": "10.0.0.1", "at": "2025-12-31T04:30:00Z"
        }
    }  # fmt: skip
    report = track(sql=query, sql_conn_id="warehouse", attributes=["range"], max_rejected=1)
    assert outcome(report) == (0, 1, 0)
    assert "Range; MoEngage accepts" in next(iter(report["reasons"]))


@pytest.mark.parametrize(
    "kind", ["datetime:", "date:%d/%m", "datetime:dd/mm/yyyy", "date:%d/%m/%Y %Z", "Datetime"]
)
@pytest.mark.parametrize("operator", [MoEngageTrackUsersOperator, MoEngageTrackEventsOperator])
def test_a_form_that_is_none_fails_before_anything_is_read(operator: Any, kind: str):
    with pytest.raises((MoEngageParameterError, MoEngageTaskFailed), match=r"types\['a'\]"):
        operator(task_id="push", path="nowhere", types={"a": kind})


@pytest.mark.parametrize(
    ("value", "kind"),
    [
        ("31/12/2025 10:00", "datetime:%d/%m/%Y %H:%M"), ("12/31/2025 10:00", "datetime:%m/%d/%Y %H:%M"),
        ("2025-12-31T10:00:00.000Z", None), (1_767_175_200, None), (1_767_175_200_000, None), ("1767175200000000", None),
        (1_767_175_200_000_000_000, None), (1_767_175_200.5, "datetime"),
    ],
)  # fmt: skip
def test_times_of_events_arrive_as_instants(track: Tracker, value: Any, kind: str | None):
    row = {"customer_id": "user-1", "action": "seen", "event_time": value, "n": 1}
    track.using(MoEngageTrackEventsOperator)(
        events=[row], types={"event_time": kind} if kind else None, timezone="UTC"
    )
    (event,) = track.sandbox.events()
    assert (event["time"], event["attributes"]) == ("2025-12-31T10:00:00Z", {"n": 1})


@pytest.mark.parametrize("value", ["31/12/2025", 20251231, "20251231", 2025, "soon", True])
def test_a_time_that_is_in_doubt_is_rejected(track: Tracker, value: Any):
    row = {"customer_id": "user-1", "action": "seen", "event_time": value}
    report = track.using(MoEngageTrackEventsOperator)(events=[row], max_rejected=1)
    assert outcome(report) == (0, 1, 0)


def test_columns_of_a_parquet_file(track: Tracker, tmp_path: Path):
    pyarrow = pytest.importorskip("pyarrow", reason="the extra [parquet] is not installed")
    parquet = pytest.importorskip("pyarrow.parquet")
    moment = 1_767_175_200_123_456_789
    table = pyarrow.table(
        {
            "customer_id": ["user-1"],
            "orders": pyarrow.array([[{"sku": "a", "n": None}]]),
            "box": pyarrow.array([[("a", 1)]], pyarrow.map_(pyarrow.string(), pyarrow.int64())),
            "seen": pyarrow.array([moment], pyarrow.timestamp("ns", "UTC")),
        }
    )
    parquet.write_table(table, tmp_path / "users.parquet")
    track.may_bend = True
    track(path=str(tmp_path / "users.parquet"), attributes=["orders", "seen"])
    (call,) = track.sandbox.requests()
    assert call["body"]["attributes"] == {"orders": [{"sku": "a"}], "seen": "2025-12-31T10:00:00Z"}
