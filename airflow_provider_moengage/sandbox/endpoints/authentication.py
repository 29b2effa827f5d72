"""Test Connection: checks whether a Workspace ID and an API key match."""

from __future__ import annotations

from airflow_provider_moengage.sandbox import gate
from airflow_provider_moengage.sandbox.request import Endpoint, Request
from airflow_provider_moengage.sandbox.response import Refused, Response, expected, succeeded


def credentials_in_body(request: Request) -> None:
    """401: the body's app_id or app_secret is missing or wrong; the header must be correct too."""
    request.authenticated = False
    for name in ("app_id", "app_secret"):
        if not isinstance(request.document.get(name, ""), str):
            raise expected(name, "string")
    app_id = request.document.get("app_id", "")
    gate.check_credentials(request, app_id, request.document.get("app_secret", ""))
    request.authenticated = True


def test_connection(request: Request) -> Response:
    """Confirm the credentials, which the gate has checked."""
    for name in ("source", "region"):
        if name not in request.document:
            raise Refused(400, "ParamsRequired", f"{name} is required", name)
        if not isinstance(request.document[name], str):
            raise expected(name, "string")
    return succeeded({"status": "success", "app_name": request.workspace.workspace_id})


TEST_CONNECTION = Endpoint(
    path="/v1/integrations/authentication",
    # The body contains the credentials too, so it must be parsed before they can be checked.
    gate=(
        gate.basic_authentication,
        gate.allowed_address,
        gate.media_type,
        gate.size,
        gate.json_object,
        credentials_in_body,
        gate.required_app_key,
    ),
    respond=test_connection,
)
