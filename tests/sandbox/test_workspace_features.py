"""What a workspace has or has not: Identity Resolution, a Portfolio's project, Get User, its limits."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from airflow_provider_moengage.sandbox import running_sandbox
from airflow_provider_moengage.sandbox.client import SandboxRefused
from tests.sandbox.conftest import Api, error_of

#: One call of every endpoint that has the Data API's gate, by the name of its quota.
CALLS: dict[str, Callable[[Api], Any]] = {
    "users": lambda api: api.track(),
    "get_users": lambda api: api.export([{"identifier_type": "customer_id", "identifier": "john"}]),
    "events": lambda api: api.event("a"),
    "devices": lambda api: api.device(),
    "opt_out_devices": lambda api: api.opt_out(),
    "bulk_users": lambda api: api.bulk({"type": "customer", "customer_id": "john", "attributes": {}}),
    "merge_users": lambda api: api.merge(("john", "jane")),
    "delete_users": lambda api: api.delete(),
    "cohort_syncs": lambda api: api.cohort(),
}
each_endpoint = pytest.mark.parametrize("quota", CALLS)


@pytest.fixture
def resolving(api: Api) -> Api:
    api.sandbox.settings(identifiers=["moe_mobile", "u_em"])
    return api


def identified(api: Api, **attributes: Any) -> Any:
    return api.post(api.track_path, {"type": "customer", "attributes": attributes})


def test_a_user_is_created_and_found_by_an_identifier(resolving: Api) -> None:
    assert identified(resolving, moe_mobile="123", plan="free").status_code == 200
    assert identified(resolving, moe_mobile="123", plan="gold").status_code == 200
    [user] = resolving.sandbox.users().values()
    assert (user["customer_id"], user["updates"]) == (None, 2)
    assert user["attributes"] == {"moe_mobile": "123", "plan": "gold"}
    assert list(resolving.sandbox.users()) == [user["id"]]
    assert resolving.sandbox.bent() == []


def test_a_user_is_found_by_any_of_its_identifiers(resolving: Api) -> None:
    identified(resolving, moe_mobile="123", u_em="a@b.c")
    identified(resolving, u_em="a@b.c", plan="gold")
    assert len(resolving.sandbox.users()) == 1


def test_a_changed_identifier_leads_to_the_user_and_the_old_one_to_nobody(resolving: Api) -> None:
    identified(resolving, moe_mobile="123", u_em="a@b.c")
    identified(resolving, moe_mobile="456", u_em="a@b.c")
    identified(resolving, moe_mobile="456", plan="gold")
    assert len(resolving.sandbox.users()) == 1
    identified(resolving, moe_mobile="123")
    assert [user["attributes"] for user in resolving.sandbox.users().values()] == [
        {"moe_mobile": "456", "u_em": "a@b.c", "plan": "gold"},
        {"moe_mobile": "123"},
    ]


def test_an_identifier_that_is_unset_leads_to_nobody(resolving: Api) -> None:
    resolving.track({"moe_mobile": "123"}, unset_attributes=[{"type": "equals", "attr": "moe_mobile"}])
    identified(resolving, moe_mobile="123")
    assert len(resolving.sandbox.users()) == 2


def test_a_user_gets_its_customer_id_later(resolving: Api) -> None:
    identified(resolving, moe_mobile="123")
    resolving.track({"moe_mobile": "123", "plan": "gold"}, customer_id="john")
    assert list(resolving.sandbox.users()) == ["john"]
    assert resolving.stored() == {"moe_mobile": "123", "plan": "gold"}


def test_an_identifier_is_of_one_user_only(resolving: Api) -> None:
    resolving.track({"moe_mobile": "123"}, customer_id="john")
    resolving.track({"moe_mobile": "123", "plan": "gold"}, customer_id="jane")
    assert resolving.stored("jane") == {"plan": "gold"}
    assert [(bent["customer_id"], bent["attribute"]) for bent in resolving.sandbox.bent()] == [
        ("jane", "moe_mobile")
    ]


@pytest.mark.parametrize("attributes", [{}, {"plan": "gold"}, {"moe_mobile": 123}, {"moe_mobile": ""}])
def test_without_a_customer_id_an_identifier_is_needed(resolving: Api, attributes: dict[str, Any]) -> None:
    response = identified(resolving, **attributes)
    assert response.status_code == 400
    assert error_of(response)["attribute"] == "customer_id"


def test_events_are_of_the_user_that_their_identifiers_name(resolving: Api) -> None:
    resolving.track({"moe_mobile": "123"}, customer_id="john")
    for mobile in ("123", "456", "456"):
        body = {"type": "event", "user_identifiers": {"moe_mobile": mobile}, "actions": [{"action": "a"}]}
        assert resolving.post(resolving.event_path, body).status_code == 200
    assert [event["customer_id"] for event in resolving.sandbox.events()] == ["john", None, None]
    assert len(resolving.sandbox.users()) == 2
    assert resolving.sandbox.bent() == []


def test_identifiers_stand_for_the_customer_id_in_bulk_too(resolving: Api) -> None:
    response = resolving.bulk(
        {"type": "customer", "attributes": {"moe_mobile": "123"}},
        {"type": "event", "user_identifiers": {"moe_mobile": "123"}, "actions": [{"action": "a"}]},
    )
    assert response.status_code == 200
    [user] = resolving.sandbox.users().values()
    assert [event["user_id"] for event in resolving.sandbox.events()] == [user["id"]]
    refused = resolving.bulk({"type": "customer", "attributes": {"plan": "gold"}})
    assert refused.status_code == 400


def test_without_identity_resolution_an_identifier_names_nobody(api: Api) -> None:
    assert identified(api, moe_mobile="123").status_code == 400
    body = {"type": "event", "user_identifiers": {"moe_mobile": "123"}, "actions": [{"action": "a"}]}
    assert api.post(api.event_path, body).status_code == 400


def test_users_who_were_there_before_are_found_by_a_new_identifier(api: Api) -> None:
    api.track({"moe_mobile": "123"})
    api.sandbox.settings(identifiers=["moe_mobile"])
    identified(api, moe_mobile="123", plan="gold")
    assert api.stored()["plan"] == "gold"


def test_get_user_gives_a_user_that_has_no_customer_id(resolving: Api) -> None:
    identified(resolving, moe_mobile="123")
    [id_] = resolving.sandbox.users()
    found = resolving.export([{"identifier_type": "id", "identifier": id_}]).json()["data"]["users"]
    assert found == [{"user_attributes": {"moe_mobile": "123", "id": id_}}]


def test_a_workspace_has_five_identifiers_at_most(api: Api) -> None:
    api.sandbox.settings(identifiers=list("abcde"))
    with pytest.raises(SandboxRefused, match="identifiers are at most 5"):
        api.sandbox.settings(identifiers=list("abcdef"))


def test_get_user_is_forbidden_where_it_is_not_enabled(api: Api) -> None:
    api.sandbox.settings(get_user=False)
    response = CALLS["get_users"](api)
    assert response.status_code == 403
    assert error_of(response)["type"] == "Forbidden"
    assert api.window("get_users")["used_total"] == 0


@each_endpoint
def test_a_portfolio_asks_for_its_project_in_the_query(api: Api, quota: str) -> None:
    api.sandbox.settings(project_code="p1")
    response = CALLS[quota](api)
    assert response.status_code == 400
    error = error_of(response)
    assert (error["type"], error["attribute"]) == ("ParamsRequired", "project_code")


@each_endpoint
def test_the_project_of_a_portfolio_is_accepted_and_recorded(api: Api, quota: str) -> None:
    api.sandbox.settings(project_code="p1")
    for name, path in vars(api).items():
        if name.endswith("_path"):
            setattr(api, name, path + ("&" if "?" in path else "?") + "project_code=p1")
    api.track()
    assert CALLS[quota](api).status_code == 200
    assert {request["query"]["project_code"] for request in api.sandbox.requests()} == {"p1"}


@each_endpoint
def test_every_endpoint_spends_its_own_window_and_answers_429_when_it_is_spent(api: Api, quota: str) -> None:
    api.track()
    used = api.window(quota)["used_total"]
    api.sandbox.settings(**{f"{quota}_per_minute": used + 1})
    first = CALLS[quota](api)
    assert first.status_code == 200
    assert (first.headers["x-ratelimit-limit"], first.headers["x-ratelimit-remaining"]) == (
        f"{used + 1}; w=60",
        "0",
    )
    second = CALLS[quota](api)
    assert second.status_code == 429
    assert second.headers["x-ratelimit-remaining"] == "0"
    assert (api.window(quota)["used_total"], api.window(quota)["rejected_429"]) == (used + 1, 1)


def test_events_cost_a_unit_an_action_and_devices_one_each(api: Api) -> None:
    assert api.event("a", "b", "c").headers["x-ratelimit-remaining"] == "29997"
    assert api.device().headers["x-ratelimit-remaining"] == "9999"
    assert api.opt_out().headers["x-ratelimit-remaining"] == "999"
    assert api.delete().headers["x-ratelimit-remaining"] == "4999"
    assert api.cohort(uids=["john", "jane"]).headers["x-ratelimit-remaining"] == "299"


@each_endpoint
def test_every_endpoint_checks_credentials_address_type_and_size(api: Api, quota: str) -> None:
    CALLS[quota](api)
    path = api.sandbox.requests()[-1]["path"]
    if "app_id" in api.sandbox.requests()[-1]["query"]:
        path += f"?app_id={api.sandbox.workspace_id}"
    assert api.post(path, {}, Authorization=None).status_code == 401
    if api.sandbox.workspace_id in path:
        assert api.post(path.replace(api.sandbox.workspace_id, "OTHER"), {}).status_code == 409
    assert api.post(path, {}, Content_Type="text/plain").status_code == 415
    assert api.post(path, b" " * 200_000).status_code == 413
    assert api.post(path, b"{").status_code == 400
    assert api.post(path, {}).status_code == 400
    assert api.post(path, {}, method="GET").status_code == 405
    api.sandbox.settings(allowed_ips=["198.51.100.7"])
    assert api.post(path, {}).json()["error"] == "IP Validation Required"


@each_endpoint
def test_a_fault_of_one_customer_befalls_every_endpoint(api: Api, quota: str) -> None:
    api.sandbox.fault(kind="status", status=503, customer_id="jim")
    assert CALLS[quota](api).status_code != 503
    api.sandbox.clear_faults()
    api.sandbox.fault(kind="status", status=503, customer_id="john")
    assert CALLS[quota](api).status_code == 503


@each_endpoint
@pytest.mark.parametrize("body", [[], {"x": 1}, {"elements": 5, "actions": 5, "merge_data": 5, "data": 5}])
def test_a_fault_of_one_customer_bears_any_body(api: Api, quota: str, body: Any) -> None:
    CALLS[quota](api)
    call = api.sandbox.requests()[-1]
    query = f"?app_id={api.sandbox.workspace_id}" if "app_id" in call["query"] else ""
    api.sandbox.fault(kind="status", status=503, customer_id="john")
    assert api.post(call["path"] + query, body).status_code == 400


def test_the_bulk_limits_have_a_word_for_each_edition(api: Api) -> None:
    settings = api.sandbox.settings(bulk_limits="60k/60k")
    assert (settings["bulk_users_per_minute"], settings["bulk_events_per_minute"]) == (60_000, 60_000)
    settings = api.sandbox.settings(bulk_limits="10k/30k", bulk_users_per_minute=5)
    assert (settings["bulk_users_per_minute"], settings["bulk_events_per_minute"]) == (5, 30_000)
    assert api.window("bulk_users")["limit"] == 5
    for wrong in ("20k/20k", ["60k/60k"]):
        with pytest.raises(SandboxRefused, match="bulk_limits is"):
            api.sandbox.settings(bulk_limits=wrong)


def test_every_feature_is_an_option_of_the_command_line() -> None:
    options = {
        "bulk_strict": False,
        "get_user": False,
        "unset_attributes": False,
        "identifiers": ["moe_mobile", "u_em"],
        "project_code": "p1",
        "bulk_devices_per_minute": 7,
        "delete_users_per_minute": 3,
        "max_bulk_bytes": 500,
    }
    with running_sandbox(bulk_limits="60k/60k", bulk_events_per_minute=9, **options) as sandbox:
        settings = sandbox.settings()
    assert options.items() <= settings.items()
    assert (settings["bulk_users_per_minute"], settings["bulk_events_per_minute"]) == (60_000, 9)
