from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from typing import Any

import pytest
import requests

from airflow_provider_moengage.sandbox import Sandbox


class Api:
    """Calls a sandbox as any HTTP client would, rightly unless told otherwise."""

    def __init__(self, sandbox: Sandbox) -> None:
        self.sandbox = sandbox
        self.session = requests.Session()
        self.session.trust_env = False
        self.track_path = f"/v1/customer/{sandbox.workspace_id}"
        self.export_path = f"/v1/customers/export?app_id={sandbox.workspace_id}"

    def headers(self, login: str | None = None, password: str | None = None) -> dict[str, str]:
        login = self.sandbox.workspace_id if login is None else login
        password = self.sandbox.api_key if password is None else password
        return {
            "Authorization": "Basic " + base64.b64encode(f"{login}:{password}".encode()).decode(),
            "Content-Type": "application/json",
            "MOE-APPKEY": self.sandbox.workspace_id,
        }

    def post(self, path: str, body: Any, method: str = "POST", **changed: str | None) -> requests.Response:
        """Send a body, as JSON unless it is bytes; a header of ``changed`` that is None is left out."""
        headers = {**self.headers(), **{name.replace("_", "-"): value for name, value in changed.items()}}
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        request = requests.Request(
            method,
            self.sandbox.url + path,
            data=content,
            headers={name: value for name, value in headers.items() if value is not None},
        )
        return self.session.send(request.prepare(), timeout=10)

    def track(
        self, attributes: Any = None, customer_id: Any = "john", path: str | None = None, **fields: Any
    ) -> requests.Response:
        body = {"type": "customer", "customer_id": customer_id, "attributes": attributes or {}, **fields}
        return self.post(path or self.track_path, body)

    def export(self, identifiers: list[Any], fields: Any = None) -> requests.Response:
        data = {"identifiers": identifiers, **({} if fields is None else {"user_fields_to_export": fields})}
        return self.post(self.export_path, {"data": data})

    def stored(self, customer_id: str = "john") -> dict[str, Any]:
        return self.sandbox.users(customer_id)[customer_id]["attributes"]


@pytest.fixture
def api(moengage_sandbox: Sandbox) -> Iterator[Api]:
    api = Api(moengage_sandbox)
    with api.session:
        yield api


def error_of(response: requests.Response) -> dict[str, Any]:
    """Give the error of a documented error body, and see that it has the documented form."""
    body = response.json()
    assert set(body) == {"status", "error"}
    assert body["status"] == "fail"
    assert (
        {"message", "type", "request_id"}
        <= set(body["error"])
        <= {"attribute", "message", "type", "request_id"}
    )
    return body["error"]
