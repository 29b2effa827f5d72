"""The control endpoints under ``/_sandbox``: stored data, faults, settings, reset."""

from __future__ import annotations

import json
from typing import Any

from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import BaseRoute, Mount, Route

from airflow_provider_moengage.sandbox.access import Hosts, OwnCallers
from airflow_provider_moengage.sandbox.devices import Devices
from airflow_provider_moengage.sandbox.events import Events
from airflow_provider_moengage.sandbox.faults import Fault
from airflow_provider_moengage.sandbox.settings import SettingsError
from airflow_provider_moengage.sandbox.workspace import Workspace

PAGE = 1_000
BENT_IN_STATE = 100

WHAT_THIS_IS = """\
A MoEngage sandbox: a local server that responds like the MoEngage Data API. Workspace: {workspace_id}

  POST /v1/customer/{{app_id}}            Track User
  POST /v1/customers/export             Get User
  POST /v1/event/{{app_id}}               Create Event
  POST /v1/device/{{app_id}}              Track Device
  POST /v1/devices/manage               Device opt-out
  POST /v1/transition/{{app_id}}          Bulk Import; also /v1/transition?app_id=
  POST /v1/customer/merge               Merge Users
  POST /v1/customer/delete              Delete User
  POST /v1/integrations/cohortsync      Cohort sync
  POST /v1/integrations/authentication  Test Connection

  GET  /_sandbox/state        counts, rate windows, faults, settings
  GET  /_sandbox/users        ?customer_id= &offset= &limit=
  GET  /_sandbox/events       ?customer_id= &offset= &limit=
  GET  /_sandbox/devices      ?customer_id= &offset= &limit=
  GET  /_sandbox/cohorts      ?cohort_id= &offset= &limit=
  GET  /_sandbox/requests     ?offset= &limit=
  GET  /_sandbox/bent         what MoEngage would have silently dropped or altered
  POST /_sandbox/faults       errors, slowness, broken connections; GET lists them, DELETE removes them
  POST /_sandbox/settings     limits, window length, features of the workspace; GET returns them
  POST /_sandbox/reset        clear all data, and restore the settings of the start
"""


class Control:
    """The control endpoints of one workspace; they need no authentication, and faults do not affect them."""

    def __init__(self, workspace: Workspace, hosts: Hosts) -> None:
        self._workspace = workspace
        self._hosts = hosts

    def routes(self) -> list[BaseRoute]:
        """Return the routes."""
        inner = [
            Route("/state", self.state),
            Route("/users", self.users),
            Route("/events", self.events),
            Route("/devices", self.devices),
            Route("/cohorts", self.cohorts),
            Route("/requests", self.requests),
            Route("/bent", self.bent),
            Route("/faults", self.faults, methods=["GET", "POST", "DELETE"]),
            Route("/settings", self.settings, methods=["GET", "POST"]),
            Route("/reset", self.reset, methods=["POST"]),
        ]
        own_callers = Middleware(OwnCallers, hosts=self._hosts)
        return [
            Route("/", self.what_this_is),
            Mount("/_sandbox", routes=inner, middleware=[own_callers]),
        ]

    async def what_this_is(self, request: Request) -> Response:
        """Return a short text for people."""
        return PlainTextResponse(WHAT_THIS_IS.format(workspace_id=self._workspace.workspace_id))

    async def state(self, request: Request) -> Response:
        """Return the counts, windows, faults and settings."""
        state = self._workspace.state
        return _answer(
            {
                "workspace_id": self._workspace.workspace_id,
                "users": len(state.users),
                "events": len(state.events),
                "devices": len(state.devices),
                "cohorts": len(state.cohorts),
                "requests": state.request_log.total,
                "requests_by_status": dict(state.statuses),
                "updates": state.users.updates,
                "bent": state.bent.count,
                "bent_first": state.bent.first(BENT_IN_STATE),
                "windows": [window.as_json() for window in state.windows.values()],
                "faults": state.faults.as_json(),
                "settings": state.settings.as_json(),
            }
        )

    async def users(self, request: Request) -> Response:
        """Return the users, or the one of ``customer_id``."""
        users = self._workspace.state.users
        customer_id = request.query_params.get("customer_id")
        if customer_id is not None:
            user = users.find(customer_id)
            found = [user.as_json()] if user else []
            return _answer({"total": len(found), "users": found})
        try:
            page = users.page(*_page(request))
        except ValueError as error:
            return _bad(error)
        return _answer({"total": len(users), "users": [user.as_json() for user in page]})

    async def events(self, request: Request) -> Response:
        """Return the events in the order in which they were stored, all or those of ``customer_id``."""
        return self._of_user(request, "events", self._workspace.state.events)

    async def devices(self, request: Request) -> Response:
        """Return the devices in the order of their creation, all or those of ``customer_id``."""
        return self._of_user(request, "devices", self._workspace.state.devices)

    async def cohorts(self, request: Request) -> Response:
        """Return the cohorts with their members, or the one of ``cohort_id``."""
        cohorts = self._workspace.state.cohorts
        cohort_id = request.query_params.get("cohort_id")
        if cohort_id is not None:
            cohort = cohorts.find(cohort_id)
            found = [cohort.as_json()] if cohort else []
            return _answer({"total": len(found), "cohorts": found})
        try:
            page = cohorts.page(*_page(request))
        except ValueError as error:
            return _bad(error)
        return _answer({"total": len(cohorts), "cohorts": [cohort.as_json() for cohort in page]})

    def _of_user(self, request: Request, what: str, items: Events | Devices) -> Response:
        try:
            offset, limit = _page(request)
        except ValueError as error:
            return _bad(error)
        customer_id = request.query_params.get("customer_id")
        user = None if customer_id is None else self._workspace.state.users.find(customer_id)
        if customer_id is not None and user is None:
            return _answer({"total": 0, what: []})
        page = items.page(offset, limit, user)
        return _answer({"total": items.count(user), what: [item.as_json() for item in page]})

    async def requests(self, request: Request) -> Response:
        """Return the logged requests in order of arrival."""
        log = self._workspace.state.request_log
        try:
            page = log.page(*_page(request))
        except ValueError as error:
            return _bad(error)
        return _answer({"total": len(log), "requests": [logged.as_json() for logged in page]})

    async def bent(self, request: Request) -> Response:
        """Return everything that was silently dropped or altered."""
        bent = self._workspace.state.bent
        return _answer({"total": bent.count, "bent": bent.first()})

    async def faults(self, request: Request) -> Response:
        """List the faults, activate one or several, or remove all."""
        faults = self._workspace.state.faults
        if request.method == "DELETE":
            faults.clear()
        elif request.method == "POST":
            try:
                described = await _json(request)
                listed = described if isinstance(described, list) else [described]
                faults.add([Fault.from_json(description) for description in listed])
            except ValueError as error:
                return _bad(error)
        return _answer({"faults": faults.as_json()})

    async def settings(self, request: Request) -> Response:
        """Return the settings, after changing some of them."""
        state = self._workspace.state
        if request.method == "POST":
            try:
                changes = await _json(request)
                if not isinstance(changes, dict):
                    raise SettingsError("settings are a JSON object")
                state.change(changes)
            except ValueError as error:
                return _bad(error)
        return _answer(state.settings.as_json())

    async def reset(self, request: Request) -> Response:
        """Clear all data and faults."""
        self._workspace.reset()
        return _answer({"status": "success"})


def _answer(document: Any, status_code: int = 200) -> Response:
    # Not JSONResponse: it fails on a lone surrogate, which a test may have sent.
    return Response(json.dumps(document), status_code, media_type="application/json")


async def _json(request: Request) -> Any:
    try:
        return json.loads(await request.body())
    except ValueError:
        raise ValueError("the request body is not valid JSON") from None


def _page(request: Request) -> tuple[int, int]:
    offset, limit = (
        int(request.query_params.get(name, default)) for name, default in (("offset", 0), ("limit", PAGE))
    )
    if offset < 0 or limit < 0:
        raise ValueError("offset and limit are whole numbers from 0")
    return offset, limit


def _bad(error: Exception) -> Response:
    return _answer(
        {"status": "fail", "error": {"message": str(error), "type": "SandboxError"}}, status_code=400
    )
