"""Rows in the API's own shape, and what MoEngage documents of users, events and devices beyond the common."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_moengage.api.errors import MoEngageParameterError
from airflow_provider_moengage.exceptions import MoEngageTaskFailed
from airflow_provider_moengage.operators.bulk import MoEngageBulkImportOperator
from airflow_provider_moengage.operators.devices import MoEngageTrackDevicesOperator
from airflow_provider_moengage.operators.events import MoEngageTrackEventsOperator
from airflow_provider_moengage.operators.get_users import MoEngageGetUsersOperator
from airflow_provider_moengage.operators.users import (
    MoEngageTrackUsersOperator,
    MoEngageUnsetAttributesOperator,
)
from tests.end_to_end.rows import outcome
from tests.end_to_end.tracker import Tracker

RULE = {"type": "equals", "attr": "plan", "case_sensitive": True}
CLEAR = {"type": "customer", "customer_id": "user123", "unset_attributes": [RULE]}
#: How an operator takes customers: alone, packed, and as elements.
WAYS: list[tuple[Any, str, dict[str, Any]]] = [
    (MoEngageTrackUsersOperator, "users", {}),
    (MoEngageTrackUsersOperator, "users", {"bulk": True}),
    (MoEngageBulkImportOperator, "elements", {}),
]
ways = pytest.mark.parametrize(("operator", "noun", "parameters"), WAYS, ids=["single", "bulk", "elements"])


def bodies(track: Tracker) -> list[dict[str, Any]]:
    """The objects that were sent, those of a bulk call one by one."""
    sent = [call["body"] for call in track.sandbox.requests()]
    return [element for body in sent for element in body.get("elements", [body])]


@ways
def test_the_sample_that_clears_attributes_is_taken(
    track: Tracker, operator: Any, noun: str, parameters: dict[str, Any]
):
    track(users=[{"customer_id": "user123", "plan": "gold", "city": "Pune"}])
    track.using(operator)
    assert outcome(track(**{noun: [CLEAR]}, **parameters)) == (1, 0, 0)
    assert track.attributes() == {"user123": {"city": "Pune"}}


@ways
def test_a_bare_customer_has_no_attribute_called_type(
    track: Tracker, operator: Any, noun: str, parameters: dict[str, Any]
):
    rows = [
        {"type": "customer", "customer_id": "c1"},
        {"type": "customer", "customer_id": "c2", "attributes": None},
        {"type": "customer", "customer_id": "c3", "attributes": {}, "unset_attributes": None},
        {"type": "customer", "customer_id": "c4", "attributes": float("nan"), "update_existing_only": None},
    ]
    track.using(operator)
    assert outcome(track(**{noun: rows}, **parameters)) == (4, 0, 0)
    assert track.attributes() == {"c1": {}, "c2": {}, "c3": {}, "c4": {}}


def test_a_type_of_another_value_is_an_attribute(track: Tracker):
    rows = [{"customer_id": f"c{n}", "type": kind} for n, kind in enumerate(["gold", "Customer", "event", 5])]
    assert outcome(track(users=rows)) == (4, 0, 0)
    stored = {customer_id: attributes["type"] for customer_id, attributes in track.attributes().items()}
    assert stored == {"c0": "gold", "c1": "Customer", "c2": "event", "c3": 5}


def test_columns_around_a_customer_are_refused_with_both_remedies(track: Tracker):
    report = track(users=[{"type": "customer", "customer_id": "c1", "plan": "gold"}], max_rejected=1)
    assert outcome(report) == (0, 1, 0)
    (reason,) = report["reasons"]
    assert "'plan'" in reason
    assert "put it inside" in reason
    assert "attributes=" in reason


@pytest.mark.parametrize("attributes", [["plan"], ["plan", "type"], {"plan": "plan"}])
def test_attributes_make_rows_flat_whatever_their_type(track: Tracker, attributes: Any):
    row = {"type": "customer", "customer_id": "c1", "plan": "gold"}
    assert outcome(track(users=[row], attributes=attributes)) == (1, 0, 0)
    assert track.attributes() == {"c1": {name: row[name] for name in attributes}}


def test_a_table_of_rows_in_the_apis_own_shape(track: Tracker, sqlite_warehouse: Callable[..., None]):
    """Nothing in a table is absent, and many databases have objects and lists as texts."""
    sqlite_warehouse("create table own (type text, customer_id text, attributes text, unset_attributes text)")
    rows = [
        ("customer", "c1", '{"plan": "gold", "tags": ["a"]}', None),
        ("customer", "c1", None, json.dumps([RULE])),
        ("customer", "c2", None, None),
        ("customer", "c3", "no object", None),
        ("customer", "c4", "[]", None),
    ]
    sqlite_warehouse("insert into own values (?, ?, ?, ?)", rows)
    report = track(sql="select * from own", sql_conn_id="warehouse", max_rejected=2)
    assert outcome(report) == (3, 2, 0)
    assert track.attributes() == {"c1": {"tags": ["a"]}, "c2": {}}
    assert report["reasons"] == {
        "attributes is of type str; it must be an object": 1,
        "attributes is of type list; it must be an object": 1,
    }


def test_the_id_may_stand_in_its_own_column(track: Tracker):
    rows = [
        {"type": "customer", "uid": "c1"},
        {"type": "customer", "customer_id": "c2", "attributes": {"n": 1}},
    ]
    assert outcome(track(users=rows, id_column="uid")) == (2, 0, 0)
    assert track.attributes() == {"c1": {}, "c2": {"n": 1}}


def test_unset_attributes_takes_the_same_rows(track: Tracker):
    track(users=[{"customer_id": "user123", "plan": "gold", "city": "Pune"}])
    track.using(MoEngageUnsetAttributesOperator)
    assert outcome(track(users=[CLEAR], unset_column="unset_attributes")) == (1, 0, 0)
    assert track.attributes() == {"user123": {"city": "Pune"}}


@pytest.mark.parametrize("written", ["ANDROID", "Android", "android", " android "])
@pytest.mark.parametrize("active", ["true", "True", "TRUE", True])
def test_platforms_of_a_user_are_sent_as_documented(track: Tracker, written: str, active: Any):
    platforms = [{"platform": written, "active": active}, {"platform": "IOS", "active": False}]
    documented = [{"platform": "ANDROID", "active": "true"}, {"platform": "iOS", "active": "false"}]
    rows = [
        {"customer_id": "flat", "platforms": platforms},
        {"customer_id": "inside", "attributes": {"platforms": platforms}},
        {"customer_id": "beside", "attributes": {"n": 1}, "platforms": platforms},
        {"type": "customer", "customer_id": "alone", "platforms": platforms},
        {"type": "customer", "customer_id": "empty", "platforms": None},
    ]
    assert outcome(track(users=rows)) == (5, 0, 0)
    track.using(MoEngageBulkImportOperator)
    elements = [{**row, "type": "customer"} for row in rows[1:]]
    assert outcome(track(elements=elements)) == (4, 0, 0)
    for body in bodies(track):
        assert "platforms" not in body
        wanted = None if body["customer_id"] == "empty" else documented
        assert body["attributes"].get("platforms") == wanted


def test_platforms_in_both_places_are_refused(track: Tracker):
    one = [{"platform": "web", "active": "true"}]
    row = {"customer_id": "c1", "attributes": {"platforms": one}, "platforms": one}
    report = track(users=[row], max_rejected=1)
    assert outcome(report) == (0, 1, 0)
    assert "'platforms'" in next(iter(report["reasons"]))


@pytest.mark.parametrize("platforms", ["iOS", [{"platform": "symbian", "active": "true"}], ["web"], {}])
def test_platforms_that_are_none_are_refused(track: Tracker, platforms: Any):
    row = {"customer_id": "c1", "attributes": {}, "platforms": platforms}
    assert outcome(track(users=[row], max_rejected=1)) == (0, 1, 0)


@pytest.mark.parametrize("bulk", [False, True])
def test_events_may_spare_users_that_moengage_does_not_know(track: Tracker, bulk: bool):
    track.using(MoEngageTrackEventsOperator).may_bend = True
    rows = [
        {"customer_id": "c1", "action": "seen", "event_time": 1_433_837_969},
        {"customer_id": "c2", "actions": [{"action": "seen"}]},
        {"customer_id": "c3", "actions": [{"action": "seen"}], "update_existing_only": False},
        {"customer_id": "c4", "actions": [{"action": "seen"}], "update_existing_only": None},
    ]
    assert outcome(track(events=rows, update_existing_only=True, bulk=bulk)) == (4, 0, 0)
    flags = {body["customer_id"]: body.get("update_existing_only") for body in bodies(track)}
    assert flags == {"c1": True, "c2": True, "c3": None, "c4": True}


def test_nothing_is_said_of_users_where_nothing_was_asked_for(track: Tracker):
    track.using(MoEngageTrackEventsOperator)
    rows = [
        {"customer_id": "c1", "action": "seen", "event_time": 1_433_837_969},
        {"customer_id": "c2", "actions": [{"action": "seen"}], "update_existing_only": False},
    ]
    track(events=rows)
    assert all("update_existing_only" not in body for body in bodies(track))


@pytest.mark.parametrize(("operator", "noun"), [(MoEngageTrackEventsOperator, "events"), (MoEngageBulkImportOperator, "elements")])  # fmt: skip
def test_a_row_may_spare_its_user_itself(track: Tracker, operator: Any, noun: str):
    track.using(operator).may_bend = True
    row = {
        "type": "event",
        "customer_id": "c1",
        "actions": [{"action": "seen"}],
        "update_existing_only": True,
    }
    assert outcome(track(**{noun: [row]})) == (1, 0, 0)
    assert bodies(track)[0]["update_existing_only"] is True
    report = track(**{noun: [{**row, "update_existing_only": "yes"}]}, max_rejected=1)
    assert report["reasons"] == {"update_existing_only is of type str; it must be true or false": 1}


def test_actions_of_any_sequence_are_actions(track: Tracker, sqlite_warehouse: Callable[..., None]):
    track.using(MoEngageTrackEventsOperator)
    rows = [
        {"customer_id": "c1", "actions": ({"action": "seen"},)},
        {"type": "event", "customer_id": "c2", "actions": '[{"action": "seen", "attributes": null}]'},
    ]
    assert outcome(track(events=rows)) == (2, 0, 0)
    assert [event["action"] for event in track.sandbox.events()] == ["seen", "seen"]
    report = track(events=[{"type": "event", "customer_id": "c1", "actions": 5}], max_rejected=1)
    assert report["reasons"] == {"actions is of type int; it must be a list": 1}


def test_a_table_of_events_in_the_apis_own_shape(track: Tracker, sqlite_warehouse: Callable[..., None]):
    sqlite_warehouse("create table own (type text, customer_id text, device_id text, actions text)")
    rows = [
        ("event", "c1", None, '[{"action": "seen"}, {"action": "left"}]'),
        ("event", "c1", None, None),
        ("Event", "c1", None, "[]"),
    ]
    sqlite_warehouse("insert into own values (?, ?, ?, ?)", rows)
    sql = {"sql": "select * from own", "sql_conn_id": "warehouse", "max_rejected": 2}
    assert outcome(track.using(MoEngageTrackEventsOperator)(**sql)) == (1, 2, 0)
    assert outcome(track.using(MoEngageBulkImportOperator)(**sql)) == (1, 2, 0)
    assert [event["action"] for event in track.sandbox.events()] == ["seen", "left"] * 2


PLATFORMS = [
    *[("ANDROID", written) for written in ("ANDROID", "Android", "android")],
    *[("iOS", written) for written in ("iOS", "IOS", "ios")],
    *[("web", written) for written in ("web", "Web", "WEB")],
    *[("TV", written) for written in ("TV", "tv", "Tv")],
]


@pytest.mark.parametrize(("documented", "written"), PLATFORMS)
def test_platforms_of_events_and_devices_are_sent_as_documented(
    track: Tracker, documented: str, written: str
):
    track(users=[{"customer_id": "c1"}])
    track.using(MoEngageTrackEventsOperator)
    track(events=[{"customer_id": "c1", "actions": [{"action": "seen", "platform": written}]}])
    assert track.sandbox.events()[0]["platform"] == documented
    track.using(MoEngageTrackDevicesOperator)
    flat = {"customer_id": "c1", "device_id": "d1", "platform": written, "push_id": "p"}
    own = {"customer_id": "c1", "device_id": "d2", "attributes": {"platform": written, "push_id": "p"}}
    assert outcome(track(devices=[flat, own])) == (2, 0, 0)
    assert {device["attributes"]["platform"] for device in track.sandbox.devices()} == {documented}


def test_an_event_of_an_unknown_platform_says_so(track: Tracker):
    track.using(MoEngageTrackEventsOperator)
    actions = [
        {"action": "seen", "platform": "Unknown"},
        {"action": "seen", "platform": "tv", "moe_os_type": "webos"},
    ]
    track(events=[{"customer_id": "c1", "actions": actions}])
    first, second = track.sandbox.events()
    assert (first["platform"], second["moe_os_type"]) == ("unknown", "WebOS")


@pytest.mark.parametrize(("value", "sent"), [(True, "True"), (False, "False"), ("yes", "yes"), (None, None)])
def test_a_device_may_be_opted_in_provisionally(track: Tracker, value: Any, sent: str | None):
    track(users=[{"customer_id": "c1"}])
    track.using(MoEngageTrackDevicesOperator).may_bend = True
    device = {"platform": "iOS", "push_id": "p", "moe_push_provisional_opted": value}
    track(devices=[{"customer_id": "c1", "device_id": "d1", **device}])
    assert bodies(track)[-1]["attributes"].get("moe_push_provisional_opted") == sent


def test_a_table_of_devices_may_have_the_column(track: Tracker, sqlite_warehouse: Callable[..., None]):
    track(users=[{"customer_id": "c1"}])
    track.using(MoEngageTrackDevicesOperator).may_bend = True
    sqlite_warehouse(
        """
        create table d (customer_id, device_id, platform, push_id, moe_push_provisional_opted, type);
        insert into d values ('c1', 'd1', 'ios', 'p', 'True', null);
        """
    )
    assert outcome(track(sql="select * from d", sql_conn_id="warehouse")) == (1, 0, 0)


@pytest.fixture
def known(track: Tracker) -> Tracker:
    track(users=[{"customer_id": "user-1"}, {"customer_id": "user-2"}])
    track.sandbox.settings(get_users_per_minute=10_000_000)
    return track.using(MoEngageGetUsersOperator)


def asked(track: Tracker) -> list[dict[str, str]]:
    calls = [call["body"] for call in track.sandbox.requests() if call["path"].endswith("/export")]
    return [one for body in calls for one in body["data"]["identifiers"]]


def test_moengage_ids_can_be_called_as_the_other_edition_does(known: Tracker, tmp_path: Path):
    moengage_id = known.sandbox.users()["user-1"]["id"]
    missing = tmp_path / "missing.ndjson"
    report = known(users=[moengage_id, "nobody"], identifier_type="moengage_id", missing_path=str(missing))
    assert {one["identifier_type"] for one in asked(known)} == {"moengage_id"}
    assert [user["customer_id"] for user in report["users"]] == ["user-1"]
    assert report["users_not_found"] == ["nobody"]
    assert json.loads(missing.read_text()) == {"moengage_id": "nobody"}


def test_ids_of_all_kinds_are_asked_for_together(known: Tracker, tmp_path: Path):
    moengage_id = known.sandbox.users()["user-1"]["id"]
    rows = [
        {"key": "user-2", "kind": "customer_id"},
        {"key": moengage_id, "kind": "id"},
        {"key": "nobody", "kind": "customer_id"},
        {"key": "nobody", "kind": "id"},
        {"key": "nobody", "kind": "moengage_id"},
        {"key": "nobody", "kind": "id"},
    ]
    missing = tmp_path / "missing.ndjson"
    kinds = {"id_column": "key", "identifier_type_column": "kind"}
    report = known(users=rows, **kinds, missing_path=str(missing))
    assert outcome(report) == (6, 0, 0)
    assert (report["found"], report["not_found"]) == (2, 3)
    identifiers = [{"identifier_type": row["kind"], "identifier": row["key"]} for row in rows[:5]]
    assert asked(known) == identifiers
    assert report["users_not_found"] == identifiers[2:]
    assert [json.loads(line) for line in missing.read_text().splitlines()] == identifiers[2:]
    # What was missing can be asked for again as it stands.
    again = known(path=str(missing), id_column="identifier", identifier_type_column="identifier_type")
    assert again["users_not_found"] == identifiers[2:]


@pytest.mark.parametrize("kind", ["email", "ID", "", None, 5, float("nan")])
def test_a_kind_of_id_that_is_none_is_refused(known: Tracker, kind: Any):
    rows = [{"customer_id": "user-1", "kind": kind}, "user-2"]
    report = known(users=rows, identifier_type_column="kind", max_rejected=2)
    assert outcome(report) == (0, 2, 0)
    assert any("'kind'" in reason for reason in report["reasons"])


def test_a_source_without_the_column_of_kinds_ends_the_task_first(
    known: Tracker, sqlite_warehouse: Callable[..., None]
):
    sqlite_warehouse("create table who (customer_id text); insert into who values ('user-1')")
    sql = {"sql": "select * from who", "sql_conn_id": "warehouse"}
    error = known.fails(MoEngageTaskFailed, **sql, identifier_type_column="kind")
    assert "'kind'" in str(error)
    assert "identifier_type_column" in str(error)


@pytest.mark.parametrize(
    ("operator", "parameters", "named"),
    [
        (MoEngageGetUsersOperator, {"users": [], "identifier_type_column": ""}, ("identifier_type_column",)),
        (
            MoEngageGetUsersOperator,
            {"users": [], "identifier_type_column": "kind", "identifier_type": "id"},
            ("identifier_type", "identifier_type_column"),
        ),
        (
            MoEngageTrackEventsOperator,
            {"events": [], "update_existing_only": "yes"},
            ("update_existing_only", "True or False"),
        ),
    ],
)
def test_wrong_parameters_are_named(operator: Any, parameters: dict[str, Any], named: tuple[str, ...]):
    with pytest.raises(MoEngageParameterError) as caught:
        operator(task_id="task", **parameters)
    assert all(word in str(caught.value) for word in named), str(caught.value)


def test_an_event_is_sent_with_id_and_identifiers(track: Tracker):
    track.sandbox.settings(identifiers=["moe_mobile", "email"])
    track.using(MoEngageTrackEventsOperator)
    row = {"customer_id": "c1", "moe_mobile": 919876543210, "email": None, "action": "seen", "event_time": 5}
    track(events=[row, {**row, "customer_id": None}], identifiers=["moe_mobile", "email"])
    both, alone = bodies(track)
    assert both["customer_id"] == "c1"
    assert both["user_identifiers"] == alone["user_identifiers"] == {"moe_mobile": "919876543210"}
    assert "customer_id" not in alone


def test_a_user_is_sent_with_id_and_identifiers(track: Tracker):
    track.sandbox.settings(identifiers=["moe_mobile"])
    row = {"customer_id": "c1", "moe_mobile": 919876543210}
    track(users=[row, {"customer_id": "c2", "attributes": {"moe_mobile": "9"}}], identifiers=["moe_mobile"])
    assert track.attributes() == {"c1": {"moe_mobile": "919876543210"}, "c2": {"moe_mobile": "9"}}
