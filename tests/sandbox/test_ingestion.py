"""What was accepted may be shown later, or be stored as something else: settings for checks of arrival."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from airflow_provider_moengage.sandbox import running_sandbox
from airflow_provider_moengage.sandbox.customers import Customer
from airflow_provider_moengage.sandbox.settings import Settings
from airflow_provider_moengage.sandbox.store import Update, Users
from tests.sandbox.conftest import Api
from tests.support.waiting import wait_until

#: Longer than any test takes.
LATER = 3_600.0


def got(api: Api, customer_id: str = "john") -> dict[str, Any] | None:
    """Return what Get User shows of a user, without the ids; None: the user is not found."""
    identifier = {"identifier_type": "customer_id", "identifier": customer_id}
    data = api.export([identifier]).json()["data"]
    if not data["users"]:
        assert data["users_not_found"] == [identifier]
        return None
    [user] = data["users"]
    return {
        name: value for name, value in user["user_attributes"].items() if name not in ("id", "customer_id")
    }


def bulk(api: Api, attributes: dict[str, Any]) -> None:
    api.bulk({"type": "customer", "customer_id": "john", "attributes": attributes})


def track(api: Api, attributes: dict[str, Any]) -> None:
    api.track(attributes)


each_endpoint = pytest.mark.parametrize("store", [track, bulk])


@each_endpoint
def test_a_new_user_is_not_found_until_the_delay_is_over(api: Api, store: Any) -> None:
    api.sandbox.settings(ingest_delay_seconds=0.3)
    store(api, {"plan": "gold"})
    wait_until(lambda: got(api) is not None, "Get User shows the user")
    assert got(api) == {"plan": "gold"}


@each_endpoint
def test_a_new_user_is_stored_at_once_and_shown_later(api: Api, store: Any) -> None:
    api.sandbox.settings(ingest_delay_seconds=LATER)
    store(api, {"plan": "gold"})
    assert got(api) is None
    assert api.stored() == {"plan": "gold"}
    id_ = api.sandbox.users()["john"]["id"]
    by_id = {"identifier_type": "id", "identifier": id_}
    assert api.export([by_id]).json()["data"]["users_not_found"] == [by_id]


@each_endpoint
def test_a_known_user_is_shown_as_before_the_update(api: Api, store: Any) -> None:
    api.track({"plan": "free", "points": 1, "tags": ["a"]})
    api.sandbox.settings(ingest_delay_seconds=LATER)
    store(api, {"plan": "gold", "addValueToArrayField": {"tags": ["b"]}})
    store(api, {"points": 2, "city": "Pune"})
    assert got(api) == {"plan": "free", "points": 1, "tags": ["a"]}
    assert api.stored() == {"plan": "gold", "points": 2, "tags": ["a", "b"], "city": "Pune"}


def test_an_event_and_a_merge_are_not_delayed(api: Api) -> None:
    api.track({"plan": "gold"}, customer_id="old")
    api.sandbox.settings(ingest_delay_seconds=LATER)
    api.event("a")
    assert got(api) == {}
    api.merge(("old", "john"))
    assert got(api) == {"plan": "gold"}


def test_without_a_delay_everything_is_shown_at_once(api: Api) -> None:
    api.track({"plan": "gold"})
    assert got(api) == {"plan": "gold"}


def test_a_customer_id_that_a_user_gets_later_is_not_found_before(api: Api) -> None:
    api.sandbox.settings(identifiers=["moe_mobile"])
    api.post(api.track_path, {"type": "customer", "attributes": {"moe_mobile": "123"}})
    api.sandbox.settings(ingest_delay_seconds=LATER)
    api.track({"moe_mobile": "123"})
    assert got(api) is None


def test_updates_are_shown_one_by_one_in_their_order(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 1_000.0
    clock = SimpleNamespace(monotonic=lambda: now)
    monkeypatch.setattr("airflow_provider_moengage.sandbox.store.time", clock)
    users, settings = Users(), Settings(ingest_delay_seconds=10.0)

    def shown() -> Any:
        user = users.find("john")
        profile = user.shown() if user else None
        return profile and profile.attributes.get("n")

    for n in (1, 2, 3):
        users.apply(Update(Customer("john"), {"n": n}), settings, lambda name, what: None)
        now += 4
    seen = []
    for _ in range(6):
        seen.append((now, shown()))
        now += 2
    assert seen == [(1012, 1), (1014, 2), (1016, 2), (1018, 3), (1020, 3), (1022, 3)]


@each_endpoint
def test_the_values_of_named_attributes_are_stored_altered(api: Api, store: Any) -> None:
    sent = {"plan": "gold", "empty": "", "points": 1, "score": 0.5, "huge": 1e300, "vip": True, "tags": ["a"]}
    api.sandbox.settings(bend=[*sent])
    store(api, {**sent, "city": "Pune"})
    stored = {"plan": "gold~", "empty": "~", "points": 2, "score": 1.5, "huge": -1e300, "vip": False}
    assert api.stored() == {**stored, "city": "Pune"}
    assert got(api) == {**stored, "city": "Pune"}
    assert [(bent["customer_id"], bent["attribute"]) for bent in api.sandbox.bent()] == [
        ("john", name) for name in sent
    ]


def test_a_date_that_is_stored_altered_is_a_string(api: Api) -> None:
    api.sandbox.settings(bend=["since"])
    api.track({"since": "2024-02-29"})
    assert api.sandbox.users()["john"]["types"] == {"since": "string"}


def test_a_value_of_another_type_leaves_the_attribute_as_it_was(api: Api) -> None:
    api.track({"tags": ["a"]})
    api.sandbox.settings(bend=["tags"])
    api.track({"tags": ["b"]})
    api.track({"addValueToArrayField": {"tags": ["b"]}})
    assert api.stored() == {"tags": ["a"]}
    assert len(api.sandbox.bent()) == 2


def test_an_attribute_is_unset_although_it_is_named(api: Api) -> None:
    api.track({"tags": ["a"], "plan": "gold"})
    api.sandbox.settings(bend=["tags", "plan"])
    api.track({"tags": []}, unset_attributes=[{"type": "equals", "attr": "plan"}])
    assert api.stored() == {}


def test_both_settings_are_options_of_the_command_line() -> None:
    options = {"ingest_delay_seconds": 1.5, "bend": ["plan", "city"], "cohort_syncs_per_minute": 9}
    with running_sandbox(**options) as sandbox:
        assert options.items() <= sandbox.settings().items()
