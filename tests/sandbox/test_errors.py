from __future__ import annotations

import base64

import pytest

from tests.sandbox.conftest import Api, error_of

USER = {"type": "customer", "customer_id": "john", "attributes": {"plan": "gold"}}


def basic(text: str) -> str:
    return "Basic " + base64.b64encode(text.encode()).decode()


@pytest.mark.parametrize(
    ("authorization", "message"),
    [
        (None, "Authentication header is missing"),
        ("", "Authentication header is empty"),
        ("Basic ", "Authentication header is empty"),
        ("Basic not base64", "Authentication header could not be decoded"),
        ("Basic " + base64.b64encode(b"\xff\xfe:x").decode(), "Authentication header could not be decoded"),
        ("Bearer token", "Authentication header could not be decoded"),
        (basic(":SANDBOX_KEY"), "APP_KEY is missing"),
        (basic("SANDBOX_WORKSPACE:"), "APP_SECRET is missing"),
        (basic("SANDBOX_WORKSPACE"), "APP_SECRET is missing"),
        (basic("SANDBOX_WORKSPACE:WRONG"), "APP_KEY and APP_SECRET do not match"),
        (basic("OTHER:SANDBOX_KEY"), "APP_ID is invalid"),
    ],
)
def test_every_way_of_being_unauthenticated_is_a_401(
    api: Api, authorization: str | None, message: str
) -> None:
    response = api.post(api.track_path, USER, Authorization=authorization)
    assert response.status_code == 401
    assert error_of(response)["type"] == "Authentication required"
    assert error_of(response)["message"] == message
    assert not [name for name in response.headers if name.startswith("x-ratelimit")]
    assert api.sandbox.users() == {}


def test_the_scheme_basic_is_read_without_regard_to_case(api: Api) -> None:
    authorization = basic("SANDBOX_WORKSPACE:SANDBOX_KEY").replace("Basic", "basic")
    assert api.post(api.track_path, USER, Authorization=authorization).status_code == 200


@pytest.mark.parametrize("path", ["/v1/customer/OTHER", "/v1/customers/export?app_id=OTHER"])
def test_another_app_id_in_the_url_is_a_409(api: Api, path: str) -> None:
    response = api.post(path, USER)
    assert response.status_code == 409
    assert error_of(response)["type"] == "Authentication Mismatch"


@pytest.mark.parametrize("app_key", ["OTHER", ""])
def test_another_app_key_header_or_an_empty_one_is_a_401(api: Api, app_key: str) -> None:
    response = api.post(api.track_path, USER, MOE_APPKEY=app_key)
    assert response.status_code == 401
    assert error_of(response)["type"] == "Authentication required"


@pytest.mark.parametrize("path", ["/v1/customer/no%20id", "/v1/customers/export?app_id="])
def test_an_app_id_that_can_be_none_is_invalid_params(api: Api, path: str) -> None:
    response = api.post(path, USER)
    assert response.status_code == 400
    assert error_of(response)["type"] == "InvalidParams"
    assert error_of(response)["message"] == "Given app_id is invalid."


def test_a_missing_app_id_in_the_query_is_params_required(api: Api) -> None:
    response = api.post("/v1/customers/export", USER)
    assert response.status_code == 400
    assert error_of(response)["type"] == "ParamsRequired"


def test_a_missing_content_type_is_a_missing_header_value(api: Api) -> None:
    response = api.post(api.track_path, USER, Content_Type=None)
    assert response.status_code == 400
    assert error_of(response)["type"] == "Missing header value"
    assert error_of(response)["attribute"] == "Content-Type"


def test_the_app_key_header_is_missed_only_where_it_is_required(api: Api) -> None:
    assert api.post(api.track_path, USER, MOE_APPKEY=None).status_code == 200
    api.sandbox.settings(require_app_key=True)
    response = api.post(api.track_path, USER, MOE_APPKEY=None)
    assert response.status_code == 401
    assert error_of(response)["message"] == "MOE-APPKEY is missing in Header"


def test_another_media_type_is_a_415(api: Api) -> None:
    response = api.post(api.track_path, USER, Content_Type="text/plain")
    assert response.status_code == 415
    assert error_of(response)["type"] == "Unsupported Media Type"


def test_a_charset_is_no_other_media_type(api: Api) -> None:
    assert api.post(api.track_path, USER, Content_Type="application/json; charset=utf-8").status_code == 200


def test_the_longest_body_is_taken_and_one_byte_more_is_a_413(api: Api) -> None:
    most = 128 * 1024
    body = b'{"type":"customer","customer_id":"john","attributes":{}}'
    assert api.post(api.track_path, body.ljust(most)).status_code == 200
    response = api.post(api.track_path, body.ljust(most + 1))
    assert response.status_code == 413
    assert error_of(response)["type"] == "Payload too large"
    assert error_of(response)["message"] == "The payload can not exceed 128KB"
    assert api.post(api.track_path, body).status_code == 200


@pytest.mark.parametrize(
    ("body", "type_"),
    [
        (b"", "Empty request body"),
        (b" \n", "Empty request body"),
        (b"{", "Malformed JSON"),
        (b"{'a': 1}", "Malformed JSON"),
        (b'{"a": NaN}', "Malformed JSON"),
        (b'{"a": "\xff"}', "Malformed JSON"),
        (b"[" * 100_000, "Malformed JSON"),
        (b"[]", "Body type is not JSON"),
        (b'"text"', "Body type is not JSON"),
        (b"null", "Body type is not JSON"),
    ],
)
def test_a_body_that_is_no_json_object_is_a_400(api: Api, body: bytes, type_: str) -> None:
    response = api.post(api.track_path, body)
    assert response.status_code == 400
    assert error_of(response)["type"] == type_


def test_the_checks_come_in_the_documented_order(api: Api) -> None:
    wrong = {"Authorization": "Basic ", "Content_Type": "text/plain"}
    too_long = b" " * 200_000
    assert api.post("/v1/customer/OTHER", too_long, **wrong).status_code == 401
    del wrong["Authorization"]
    assert api.post("/v1/customer/OTHER", too_long, **wrong).status_code == 409
    assert api.post(api.track_path, too_long, **wrong).status_code == 415
    assert api.post(api.track_path, too_long).status_code == 413
    assert api.post(api.track_path, b" ").status_code == 400


def test_an_unknown_path_is_a_404_and_another_method_a_405(api: Api) -> None:
    unknown = api.post("/v1/nothing", USER)
    assert (unknown.status_code, error_of(unknown)["type"]) == (404, "Not Found")
    other = api.post(api.track_path, USER, method="PUT")
    assert (other.status_code, error_of(other)["type"]) == (405, "Method Not Allowed")


@pytest.mark.parametrize(
    ("changes", "attribute", "datatype"),
    [
        ({"type": 1}, "type", "string"),
        ({"customer_id": None}, "customer_id", "string"),
        ({"customer_id": 12345}, "customer_id", "string"),
        ({"attributes": []}, "attributes", "object"),
        ({"attributes": None}, "attributes", "object"),
        ({"attributes": None, "unset_attributes": [{"type": "equals", "attr": "a"}]}, "attributes", "object"),
        ({"update_existing_only": "true"}, "update_existing_only", "boolean"),
        ({"unset_attributes": {}}, "unset_attributes", "array"),
        ({"unset_attributes": ["plan"]}, "unset_attributes", "array of objects"),
        ({"unset_attributes": [{"type": "equals"}]}, "attr", "string"),
        (
            {"unset_attributes": [{"type": "equals", "attr": "a", "case_sensitive": "no"}]},
            "case_sensitive",
            "boolean",
        ),
        ({"attributes": {"addValueToArrayField": []}}, "addValueToArrayField", "object"),
        ({"attributes": {"addValueToArrayField": {"tags": "a"}}}, "tags", "array"),
    ],
)
def test_a_field_of_another_type_is_named_with_the_type_it_should_have(
    api: Api, changes: dict[str, object], attribute: str, datatype: str
) -> None:
    response = api.post(api.track_path, {**USER, **changes})
    assert response.status_code == 400
    error = error_of(response)
    assert error["type"] == "MissingAttributeError"
    assert error["message"] == f"{attribute} is expected to be {datatype}"
    assert error["attribute"] == attribute
    assert api.sandbox.users() == {}


@pytest.mark.parametrize("missing", ["type", "customer_id"])
def test_a_missing_field_is_a_400(api: Api, missing: str) -> None:
    response = api.post(api.track_path, {name: value for name, value in USER.items() if name != missing})
    assert response.status_code == 400
    assert error_of(response)["attribute"] == missing


PLATFORMS = [{"platform": "iOS", "active": "true"}]


@pytest.mark.parametrize(
    ("attributes", "operator"),
    [
        (
            {"addValueToArrayField": {"tags": ["a"]}, "removeValueFromArrayField": {"tags": ["b"]}},
            "addValueToArrayField",
        ),
        ({"tags": ["a"], "addValueToArrayField": {"tags": ["b"]}}, "addValueToArrayField"),
        ({"tags": ["a"], "removeValueFromArrayField": {"tags": ["b"]}}, "removeValueFromArrayField"),
        ({"tags": None, "removeValueFromArrayField": {"tags": ["b"]}}, "removeValueFromArrayField"),
        (
            {"tags": 1, "addValueToArrayField": {"other": ["b"]}, "removeValueFromArrayField": {"tags": []}},
            "removeValueFromArrayField",
        ),
        ({"addValueToArrayField": {"platforms": PLATFORMS}}, "addValueToArrayField"),
        ({"removeValueFromArrayField": {"platforms": PLATFORMS}}, "removeValueFromArrayField"),
    ],
)
def test_array_operators_that_clash_are_an_array_field_error(
    api: Api, attributes: dict[str, object], operator: str
) -> None:
    response = api.track(attributes)
    assert response.status_code == 400
    assert (error_of(response)["type"], error_of(response)["attribute"]) == ("ArrayFieldError", operator)
    assert api.sandbox.users() == {}


def test_an_allow_list_asks_for_a_listed_address_in_x_forwarded_for(api: Api) -> None:
    assert api.post(api.track_path, USER, X_Forwarded_For="203.0.113.9").status_code == 200
    api.sandbox.settings(allowed_ips=["198.51.100.7"])
    for address in (None, "203.0.113.9"):
        response = api.post(api.track_path, USER, X_Forwarded_For=address)
        assert response.status_code == 403
        assert response.json()["error"] == "IP Validation Required"
    listed = api.post(api.track_path, USER, X_Forwarded_For="203.0.113.9, 198.51.100.7")
    assert listed.status_code == 200


def test_a_project_code_in_the_query_is_accepted(api: Api) -> None:
    assert api.track(path=api.track_path + "?project_code=p1").status_code == 200
    assert api.post(api.export_path + "&project_code=p1", {}).status_code == 400
    assert [request["query"].get("project_code") for request in api.sandbox.requests()] == ["p1", "p1"]
