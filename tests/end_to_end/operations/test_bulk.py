"""Bulk Import: mixed elements in few calls; what is bad is found, what is good arrives, in every user's order."""

from __future__ import annotations

import json
from typing import Any

import pytest

from airflow_provider_moengage.api.errors import MoEngageParameterError
from airflow_provider_moengage.api.rate_limit.window import Window
from airflow_provider_moengage.exceptions import MoEngageTaskFailed
from airflow_provider_moengage.operators.bulk import MoEngageBulkImportOperator
from tests.end_to_end.rows import outcome, refused
from tests.end_to_end.tracker import Tracker


@pytest.fixture
def bulk(track: Tracker) -> Tracker:
    unlimited = {f"bulk_{kind}_per_minute": 10_000_000 for kind in ("users", "events", "devices")}
    track.sandbox.settings(**unlimited)
    return track.using(MoEngageBulkImportOperator)


def customer(number: int, **attributes: Any) -> dict[str, Any]:
    return {
        "type": "customer",
        "customer_id": f"user-{number}",
        "attributes": {"number": number, **attributes},
    }


def event(number: int, *names: str) -> dict[str, Any]:
    return {
        "type": "event",
        "customer_id": f"user-{number}",
        "actions": [{"action": name, "current_time": 1_433_837_969} for name in names or ("seen",)],
    }


def device(number: int, **attributes: Any) -> dict[str, Any]:
    return {
        "type": "device",
        "customer_id": f"user-{number}",
        "device_id": f"device-{number}",
        "attributes": {"platform": "iOS", "push_id": f"push-{number}", **attributes},
    }


def mixed(count: int) -> list[dict[str, Any]]:
    return [
        element
        for number in range(count)
        for element in (customer(number), event(number, "in", "out"), device(number))
    ]


def everything_of(bulk: Tracker, count: int, without: tuple[int, ...] = ()) -> None:
    numbers = [number for number in range(count) if number not in without]
    assert bulk.attributes() == {f"user-{number}": {"number": number} for number in numbers}
    events = bulk.sandbox.events()
    assert len(events) == 2 * len(numbers)
    for number in numbers[:3]:
        mine = [one["action"] for one in events if one["customer_id"] == f"user-{number}"]
        assert mine == ["in", "out"]
    assert {one["device_id"] for one in bulk.sandbox.devices()} == {f"device-{n}" for n in numbers}


def test_mixed_elements_arrive_in_calls_below_the_limit(bulk: Tracker):
    report = bulk(elements=mixed(700))
    assert outcome(report) == (2_100, 0, 0)
    everything_of(bulk, 700)
    calls = bulk.sandbox.requests()
    sizes = sorted(int(call["headers"]["content-length"]) for call in calls)
    assert max(sizes) < 100_000
    # Packed as full as they get: but for the last of the rows, and those of a user whose earlier rows are in flight, no
    # call has room for another element.
    assert min(sizes[2:]) > 99_000
    assert report["requests"] == len(calls) == len(sizes)


def test_no_row_of_a_user_overtakes_another_across_calls(bulk: Tracker):
    bulk.sandbox.fault(kind="slow", seconds=0.05, rate=0.5)
    rows = [customer(number % 7, step=step, filler="f" * 400) for step, number in enumerate(range(1_400))]
    report = bulk(elements=rows, concurrency=16)
    assert outcome(report) == (1_400, 0, 0)
    assert report["requests"] > 5
    for customer_id, user in bulk.sandbox.users().items():
        steps = [update["step"] for update in user["history"]]
        assert steps == sorted(steps), customer_id


def test_a_strict_400_is_halved_until_the_bad_element_stands_alone(bulk: Tracker, tmp_path: Any):
    bulk.sandbox.fault(
        kind="status", status=400, type="MissingAttributeError", customer_id="user-137", path="/transition/"
    )
    report = bulk(
        elements=[customer(number) for number in range(300)], max_rejected=1, rejected_path=str(tmp_path)
    )
    assert outcome(report) == (299, 1, 0)
    (line,) = refused(report["rejected_path"])
    assert (line["position"], line["row"]) == (137, customer(137))
    assert line["request_id"]
    assert bulk.attributes() == {f"user-{n}": {"number": n} for n in range(300) if n != 137}
    # Halving 300 takes nine steps of two calls.
    assert report["requests"] <= 1 + 2 * 9
    assert report["retried"] == 0


def test_an_identifier_the_workspace_does_not_have_is_found_by_halving(bulk: Tracker):
    """Nothing tells the operator which identifiers are active at MoEngage: only the workspace can refuse."""
    nobody = {"type": "customer", "attributes": {"moe_mobile": "919876543210"}}
    rows = [customer(number) for number in range(40)]
    report = bulk(elements=[*rows[:23], nobody, *rows[23:]], identifiers=["moe_mobile"], max_rejected=1)
    assert outcome(report) == (40, 1, 0)
    assert len(bulk.attributes()) == 40


def test_the_lenient_reading_answers_200_and_our_checks_carry_the_weight(bulk: Tracker):
    bulk.sandbox.settings(bulk_strict=False)
    bad: list[dict[str, Any]] = [
        {"type": "customer", "customer_id": "unknown", "attributes": {}},
        {"type": "customer", "customer_id": "user-x", "attributes": {"born": "2021-02-30"}},
        {"type": "event", "customer_id": "user-x", "actions": []},
        {"type": "event", "customer_id": "user-x", "actions": [{"action": ""}]},
        {"type": "event", "customer_id": "user-x", "actions": [{"action": "moe_own"}]},
        {"type": "device", "customer_id": "user-x", "device_id": "d1", "attributes": {"platform": "Symbian"}},
        {"type": "Customer", "customer_id": "user-x", "attributes": {}},
        {"customer_id": "user-x", "attributes": {}},
    ]
    report = bulk(elements=[*mixed(10), *bad], max_rejected=len(bad))
    assert outcome(report) == (30, len(bad), 0)
    assert report["requests"] == 1
    everything_of(bulk, 10)


def test_a_device_without_a_push_id_is_refused_before_it_leaves(bulk: Tracker):
    bulk.sandbox.settings(bulk_strict=False)
    report = bulk(elements=[customer(1), device(1, push_id="")], max_rejected=1)
    assert outcome(report) == (1, 1, 0)


@pytest.mark.parametrize(
    "element",
    [
        {"type": "customer", "customer_id": "user-1", "plan": "gold"},
        {"type": "event", "customer_id": "user-1", "action": "seen", "event_time": 1_433_837_969},
        {
            "type": "customer",
            "customer_id": "user-1",
            "unset_attributes": [{"type": "equals", "attr": "plan"}],
        },
    ],
    ids=["customer", "event", "unset"],
)
def test_the_type_of_an_element_never_becomes_an_attribute(bulk: Tracker, element: dict[str, Any]):
    bulk(elements=[element], max_rejected=1)
    assert all("type" not in attributes for attributes in bulk.attributes().values())
    assert all("type" not in one["attributes"] for one in bulk.sandbox.events())


def test_a_customer_element_may_only_unset(bulk: Tracker):
    bulk(elements=[customer(1, plan="gold")])
    rule = {"type": "equals", "attr": "plan", "case_sensitive": True}
    report = bulk(elements=[{"type": "customer", "customer_id": "user-1", "unset_attributes": [rule]}])
    assert outcome(report) == (1, 0, 0)
    assert bulk.attributes() == {"user-1": {"number": 1}}


def test_a_413_splits_the_call_and_loses_nothing(bulk: Tracker):
    bulk.sandbox.settings(max_bulk_bytes=5_000)
    report = bulk(elements=mixed(100))
    assert outcome(report) == (300, 0, 0)
    everything_of(bulk, 100)
    assert report["requests"] > 1


def test_an_element_too_large_for_a_call_is_refused_alone(bulk: Tracker):
    huge = event(1)
    huge["actions"] = [{"action": "seen", "attributes": {"text": "t" * 500}} for _ in range(250)]
    report = bulk(elements=[customer(1), huge, customer(2)], max_rejected=1)
    assert outcome(report) == (2, 1, 0)
    assert "99999 bytes" in next(iter(report["reasons"]))


@pytest.mark.parametrize("kind", ["users", "events", "devices"])
def test_each_kind_is_spent_in_its_own_window(bulk: Tracker, kind: str, monkeypatch: pytest.MonkeyPatch):
    connection = {**bulk.sandbox.connection, "extra": {"limits": {f"bulk_{kind}": 100}}}
    monkeypatch.setenv("AIRFLOW_CONN_MOENGAGE_DEFAULT", json.dumps(connection))
    bulk(elements=[customer(number) for number in range(220)])
    bulk.sandbox.settings(**{f"bulk_{kind}_per_minute": 100, "window_seconds": 1.0})
    build = {"users": customer, "events": event, "devices": device}[kind]
    # Longer than a window's worth each, so that a call never holds more than a window does.
    report = bulk(elements=[build(number) for number in range(220)])
    assert outcome(report) == (220, 0, 0)
    assert report["throttled_seconds"] > 0
    quota = next(one for one in bulk.sandbox.state()["windows"] if one["quota"] == f"bulk_{kind}")
    assert quota["limit"] == 100


def test_mixed_elements_wait_for_the_window_that_is_spent(bulk: Tracker, monkeypatch: pytest.MonkeyPatch):
    limits = {"bulk_users": 60, "bulk_events": 120, "bulk_devices": 60}
    connection = {**bulk.sandbox.connection, "extra": {"limits": limits}}
    monkeypatch.setenv("AIRFLOW_CONN_MOENGAGE_DEFAULT", json.dumps(connection))
    bulk.sandbox.settings(
        **{f"{name}_per_minute": count for name, count in limits.items()}, window_seconds=1.0
    )
    # Of calls that draw from several windows no header is believed: a minute has to be a second here too.
    monkeypatch.setitem(Window.__init__.__kwdefaults__, "period", 1.0)
    report = bulk(elements=mixed(100))
    assert outcome(report) == (300, 0, 0)
    assert report["unknown"] == 0
    everything_of(bulk, 100)


def test_answers_that_are_dropped_lose_nothing(bulk: Tracker):
    bulk.sandbox.fault(kind="drop_after", after=2, times=3)
    bulk.sandbox.fault(kind="status", status=503, after=1, times=2)
    rows = [customer(number, filler="f" * 500) for number in range(2_000)]
    report = bulk(elements=rows)
    assert outcome(report) == (2_000, 0, 0)
    assert len(bulk.attributes()) == 2_000
    silent = {json.dumps(call["body"]): call for call in bulk.sandbox.requests() if call["status"] is None}
    assert report["unknown"] == sum(len(call["body"]["elements"]) for call in silent.values()) > 0


def test_values_are_converted_in_every_kind_of_element(bulk: Tracker):
    rows = [
        customer(1, seen="2026-01-01 10:00:00"),
        {
            "type": "event",
            "customer_id": "user-1",
            "actions": [{"action": "seen", "attributes": {"seen": "2026-01-01 10:00:00"}}],
        },
    ]
    bulk(elements=rows, types={"seen": "datetime"}, timezone="Asia/Kolkata")
    assert bulk.attributes()["user-1"]["seen"] == "2026-01-01T04:30:00Z"
    assert bulk.sandbox.events()[0]["attributes"] == {"seen": "2026-01-01T04:30:00Z"}


def test_a_source_without_a_type_column_ends_the_task_before_the_first_call(bulk: Tracker, tmp_path: Any):
    path = tmp_path / "rows.csv"
    path.write_text("customer_id,plan\nuser-1,gold\n")
    error = bulk.fails(MoEngageTaskFailed, path=str(path))
    assert "'type'" in str(error)
    assert bulk.requests == 0


@pytest.mark.parametrize(
    ("parameters", "named"),
    [
        ({"elements": None}, ("elements=", "sql=", "path=")),
        ({"types": {"n": "int"}}, ("types['n']", "number")),
        ({"timezone": "Mars"}, ("timezone", "'Mars'")),
        ({"identifiers": "moe_mobile"}, ("identifiers", "list")),
        ({"identifiers": list("abcdef")}, ("identifiers", "5")),
        ({"add_to_arrays": ["tags"]}, ("add_to_arrays", "dict")),
        ({"remove_from_arrays": {"tags": 5}}, ("remove_from_arrays", "'tags'")),
        ({"add_to_arrays": {"t": "a"}, "remove_from_arrays": {"t": "b"}}, ("add_to_arrays", "'t'")),
        ({"add_to_arrays": {"moe_own": "a"}}, ("add_to_arrays", "'moe_own'")),
    ],
)
def test_wrong_parameters_are_named(parameters: dict[str, Any], named: tuple[str, ...]):
    with pytest.raises(MoEngageParameterError) as caught:
        MoEngageBulkImportOperator(task_id="bulk", **{"elements": [], **parameters})
    assert all(word in str(caught.value) for word in named), str(caught.value)
