"""The control endpoints under ``/_sandbox``: what happened, faults, settings, a fresh start."""

from __future__ import annotations

import json
from typing import Any

from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import BaseRoute, Mount, Route

from airflow_provider_moengage.sandbox.faults import Fault
from airflow_provider_moengage.sandbox.settings import SettingsError
from airflow_provider_moengage.sandbox.workspace import Workspace

PAGE = 1_000
BENT_IN_STATE = 100

WHAT_THIS_IS = """\
A MoEngage sandbox: a local server that answers like the MoEngage Data API. Workspace: {workspace_id}

  POST /v1/customer/{{app_id}}            Track User
  POST /v1/customers/export             Get User
  POST /v1/integrations/authentication  Test Connection

  GET  /_sandbox/state        counts, rate windows, faults, settings
  GET  /_sandbox/users        ?customer_id= &offset= &limit=
  GET  /_sandbox/requests     ?offset= &limit=
  GET  /_sandbox/bent         what MoEngage would have dropped or altered without a word
  POST /_sandbox/faults       errors, slowness, broken connections; GET lists them, DELETE lifts them
  POST /_sandbox/settings     limits, window length, header spelling; GET gives them
  POST /_sandbox/reset        forget everything, back to the settings of the start
"""


class Control:
    """The control endpoints of one workspace; they need no authentication and no fault befalls them."""

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace

    def routes(self) -> list[BaseRoute]:
        """Give the routes."""
        inner = [
            Route("/state", self.state),
            Route("/users", self.users),
            Route("/requests", self.requests),
            Route("/bent", self.bent),
            Route("/faults", self.faults, methods=["GET", "POST", "DELETE"]),
            Route("/settings", self.settings, methods=["GET", "POST"]),
            Route("/reset", self.reset, methods=["POST"]),
        ]
        return [Route("/", self.what_this_is), Mount("/_sandbox", routes=inner)]

    async def what_this_is(self, request: Request) -> Response:
        """Give a short text for people."""
        return PlainTextResponse(WHAT_THIS_IS.format(workspace_id=self._workspace.workspace_id))

    async def state(self, request: Request) -> Response:
        """Give the counts, windows, faults and settings."""
        state = self._workspace.state
        return _answer(
            {
                "workspace_id": self._workspace.workspace_id,
                "users": len(state.users),
                "requests": state.journal.total,
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
        """Give the users, or the one of ``customer_id``."""
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

    async def requests(self, request: Request) -> Response:
        """Give the calls that are remembered, in the order of their arrival."""
        journal = self._workspace.state.journal
        try:
            page = journal.page(*_page(request))
        except ValueError as error:
            return _bad(error)
        return _answer({"total": len(journal), "requests": [call.as_json() for call in page]})

    async def bent(self, request: Request) -> Response:
        """Give everything that was dropped or altered without a word."""
        bent = self._workspace.state.bent
        return _answer({"total": bent.count, "bent": bent.first()})

    async def faults(self, request: Request) -> Response:
        """List the faults, put one or several in force, or lift them all."""
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
        """Give the settings, after changing some of them."""
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
        """Forget everything."""
        self._workspace.reset()
        return _answer({"status": "success"})


def _answer(document: Any, status_code: int = 200) -> Response:
    # Not JSONResponse: it fails on a lone surrogate, which a test may well have sent.
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
