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
        self.event_path = f"/v1/event/{sandbox.workspace_id}"
        self.device_path = f"/v1/device/{sandbox.workspace_id}"
        self.opt_out_path = f"/v1/devices/manage?app_id={sandbox.workspace_id}"
        self.bulk_path = f"/v1/transition/{sandbox.workspace_id}"
        self.merge_path = f"/v1/customer/merge?app_id={sandbox.workspace_id}"
        self.cohort_path = "/v1/integrations/cohortsync"
        self.delete_path = f"/v1/customer/delete?app_id={sandbox.workspace_id}"

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

    def event(self, *actions: Any, customer_id: Any = "john", **fields: Any) -> requests.Response:
        """Send events; an action that is a text is the name of one that has nothing else."""
        whole = [{"action": action} if isinstance(action, str) else action for action in actions]
        return self.post(
            self.event_path, {"type": "event", "customer_id": customer_id, "actions": whole, **fields}
        )

    def device(
        self, attributes: Any = None, customer_id: Any = "john", device_id: Any = "phone", **fields: Any
    ) -> requests.Response:
        whole = {"platform": "iOS", "push_id": f"push-{device_id}", **(attributes or {})}
        body = {"type": "device", "customer_id": customer_id, "device_id": device_id, "attributes": whole}
        return self.post(self.device_path, {**body, **fields})

    def opt_out(
        self, action_type: Any = "block", customer_id: Any = "john", **fields: Any
    ) -> requests.Response:
        body = {
            "user_identifier_type": "customer_id",
            "user_identifier_value": customer_id,
            "action_type": action_type,
        }
        return self.post(self.opt_out_path, {**body, **fields})

    def bulk(self, *elements: Any) -> requests.Response:
        return self.post(self.bulk_path, {"type": "transition", "elements": list(elements)})

    def merge(self, *pairs: tuple[Any, Any]) -> requests.Response:
        """Merge users; a pair is the merged and the retained one."""
        named = [{"merged_user": merged, "retained_user": retained} for merged, retained in pairs]
        return self.post(self.merge_path, {"merge_data": named})

    def delete(self, value: Any = "john", kind: Any = "customer_id") -> requests.Response:
        return self.post(self.delete_path, {"identity_type": kind, "identity_value": value})

    def cohort(
        self, action: Any = "add_members", uids: Any = ("john",), **parameters: Any
    ) -> requests.Response:
        """Add users to a cohort, or remove them; a parameter that is None is left out."""
        whole = {
            "cohort_name": "At risk",
            "cohort_id": "c1",
            "members": [{"uid": uid} for uid in uids],
            **parameters,
        }
        whole = {name: value for name, value in whole.items() if value is not None}
        return self.post(self.cohort_path, {"action": action, "partner": "airflow", "parameters": whole})

    def window(self, quota: str) -> dict[str, Any]:
        [window] = [window for window in self.sandbox.state()["windows"] if window["quota"] == quota]
        return window

    def stored(self, customer_id: str = "john") -> dict[str, Any]:
        return self.sandbox.users(customer_id)[customer_id]["attributes"]


@pytest.fixture
def api(moengage_sandbox: Sandbox) -> Iterator[Api]:
    api = Api(moengage_sandbox)
    with api.session:
        yield api


def error_of(response: requests.Response) -> dict[str, Any]:
    """Return the error of a documented error body, and check that it has the documented form."""
    body = response.json()
    assert set(body) == {"status", "error"}
    assert body["status"] == "fail"
    assert (
        {"message", "type", "request_id"}
        <= set(body["error"])
        <= {"attribute", "message", "type", "request_id"}
    )
    return body["error"]
