"""Test Connection: says whether a Workspace ID and its API key belong together."""

from __future__ import annotations

from airflow_provider_moengage.sandbox import gate
from airflow_provider_moengage.sandbox.answers import Answer, Refused, expected, succeeded
from airflow_provider_moengage.sandbox.calls import Call, Endpoint


def credentials_in_body(call: Call) -> None:
    """401: the body's app_id and app_secret are missing, or not this workspace's, as the header's must be too."""
    call.authenticated = False
    for name in ("app_id", "app_secret"):
        if not isinstance(call.document.get(name, ""), str):
            raise expected(name, "string")
    app_id = call.document.get("app_id", "")
    gate.check_credentials(call, app_id, call.document.get("app_secret", ""))
    call.authenticated = True


def test_connection(call: Call) -> Answer:
    """Confirm the credentials, which have been checked on the way here."""
    for name in ("source", "region"):
        if name not in call.document:
            raise Refused(400, "ParamsRequired", f"{name} is required", name)
        if not isinstance(call.document[name], str):
            raise expected(name, "string")
    return succeeded({"status": "success", "app_name": call.workspace.workspace_id})


TEST_CONNECTION = Endpoint(
    path="/v1/integrations/authentication",
    # The credentials stand in the body too, which must be read before they can be checked.
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
