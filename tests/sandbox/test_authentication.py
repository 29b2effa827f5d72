from __future__ import annotations

from typing import Any

import pytest

from tests.sandbox.conftest import Api, error_of

PATH = "/v1/integrations/authentication"
RIGHT = {"app_id": "SANDBOX_WORKSPACE", "app_secret": "SANDBOX_KEY", "source": "airflow", "region": "01"}


def test_credentials_that_belong_together_are_confirmed(api: Api) -> None:
    response = api.post(PATH, RIGHT)
    assert response.status_code == 200
    assert response.json() == {"status": "success", "app_name": "SANDBOX_WORKSPACE"}
    assert "x-ratelimit-limit" not in response.headers


@pytest.mark.parametrize(
    ("authorization", "message"),
    [
        (None, "Authentication header is missing"),
        ("", "Authentication header is empty"),
        ("Basic U0FOREJPWF9XT1JLU1BBQ0U6V1JPTkc=", "APP_KEY and APP_SECRET do not match"),
        ("Bearer SANDBOX_KEY", "Authentication header could not be decoded"),
    ],
)
def test_the_credentials_of_the_header_must_be_right_too(
    api: Api, authorization: str | None, message: str
) -> None:
    response = api.post(PATH, RIGHT, Authorization=authorization)
    assert response.status_code == 401
    error = error_of(response)
    assert (error["type"], error["message"]) == ("Authentication required", message)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"app_id": ""}, "APP_KEY is missing"),
        ({"app_secret": ""}, "APP_SECRET is missing"),
        ({"app_secret": "WRONG"}, "APP_KEY and APP_SECRET do not match"),
        ({"app_id": "OTHER"}, "APP_ID is invalid"),
    ],
)
def test_wrong_credentials_are_a_401(api: Api, changes: dict[str, str], message: str) -> None:
    response = api.post(PATH, {**RIGHT, **changes})
    assert response.status_code == 401
    assert error_of(response)["message"] == message


@pytest.mark.parametrize("missing", ["source", "region"])
def test_source_and_region_are_required(api: Api, missing: str) -> None:
    response = api.post(PATH, {name: value for name, value in RIGHT.items() if name != missing})
    assert response.status_code == 400
    assert error_of(response)["type"] == "ParamsRequired"
    assert error_of(response)["attribute"] == missing


@pytest.mark.parametrize("name", ["app_id", "app_secret", "source", "region"])
def test_a_field_that_is_no_string_is_a_400(api: Api, name: str) -> None:
    body: dict[str, Any] = {**RIGHT, name: 1}
    response = api.post(PATH, body)
    assert response.status_code == 400
    assert error_of(response)["attribute"] == name


def test_the_app_key_header_is_required_and_must_be_the_same(api: Api) -> None:
    for app_key in (None, "", "OTHER"):
        response = api.post(PATH, RIGHT, MOE_APPKEY=app_key)
        assert response.status_code == 401
        assert error_of(response)["type"] == "Authentication required"
