"""The API as an ASGI application: finds the endpoint, sends a call through gate, faults and window."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterable
from typing import Protocol

from starlette.types import Receive, Scope, Send

from airflow_provider_moengage.sandbox.answers import Answer, Refused, phrase_of
from airflow_provider_moengage.sandbox.calls import Call, Endpoint
from airflow_provider_moengage.sandbox.endpoints.authentication import TEST_CONNECTION
from airflow_provider_moengage.sandbox.endpoints.bulk_import import BULK_IMPORT, BULK_IMPORT_BY_QUERY
from airflow_provider_moengage.sandbox.endpoints.create_event import CREATE_EVENT
from airflow_provider_moengage.sandbox.endpoints.delete_user import DELETE_USER
from airflow_provider_moengage.sandbox.endpoints.get_user import GET_USER
from airflow_provider_moengage.sandbox.endpoints.merge_users import MERGE_USERS
from airflow_provider_moengage.sandbox.endpoints.opt_out_devices import OPT_OUT_DEVICES
from airflow_provider_moengage.sandbox.endpoints.track_device import TRACK_DEVICE
from airflow_provider_moengage.sandbox.endpoints.track_user import TRACK_USER
from airflow_provider_moengage.sandbox.faults import Fault
from airflow_provider_moengage.sandbox.window import Headers, RateWindow
from airflow_provider_moengage.sandbox.workspace import Workspace

ENDPOINTS = (
    TRACK_USER,
    GET_USER,
    CREATE_EVENT,
    TRACK_DEVICE,
    OPT_OUT_DEVICES,
    BULK_IMPORT,
    BULK_IMPORT_BY_QUERY,
    MERGE_USERS,
    DELETE_USER,
    TEST_CONNECTION,
)

APP_ID_IN_PATH = "{app_id}"
BODILESS = (204, 304)


class Connections(Protocol):
    """What can end a connection in the middle of a call."""

    def drop(self, client: tuple[str, int]) -> None:
        """End the connection of a client, sending nothing."""


class Api:
    """
    The API of one workspace.

    A call is worked on in this order: endpoint (404, 405), gate (401 to 400), latency and faults, window
    (429), body (400), store. So what the gate refuses uses up no fault, and what a fault answers costs
    nothing of the window, except with the faults ``slow`` and ``drop_after``, which let the call be worked on
    as usual.
    """

    def __init__(
        self, workspace: Workspace, connections: Connections, endpoints: Iterable[Endpoint] = ENDPOINTS
    ) -> None:
        self._workspace = workspace
        self._connections = connections
        self._endpoints = {endpoint.path: endpoint for endpoint in endpoints}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        state = self._workspace.state
        read = await _read(receive, max(state.settings.max_body_bytes, state.settings.max_bulk_bytes))
        if read is None:
            return
        body, body_bytes = read
        call = Call(
            workspace=self._workspace,
            state=state,
            request_id=f"sandbox-{state.request_log.total + 1}",
            method=scope["method"],
            path=scope["path"],
            query_string=scope["query_string"],
            raw_headers=scope["headers"],
            body=body,
            body_bytes=body_bytes,
        )
        state.request_log.add(call, state.settings.requests_kept)
        answer, headers = await self._worked_on(call)
        call.settle(None if answer is None else answer.status)
        if answer is None:
            self._connections.drop(scope["client"])
            # The server reports an application that returns without an answer, unless the client is gone.
            while (await receive())["type"] != "http.disconnect":
                pass
            return
        await _send(send, answer, headers)

    async def _worked_on(self, call: Call) -> tuple[Answer | None, Headers]:
        """Give the answer, None for a connection that is to be dropped, and the headers that go with it."""
        endpoint = None
        try:
            endpoint = self._endpoint(call)
            for check in endpoint.gate:
                check(call)
            fault = await self._fault(call, endpoint)
            if fault is not None:
                return _faulty(call, endpoint, fault)
            answer = _respond(call, endpoint)
        except Refused as refused:
            answer = refused.answer(call.request_id, titled=endpoint is not None and endpoint.titled)
        return answer, _rate_headers(call, endpoint)

    def _endpoint(self, call: Call) -> Endpoint:
        endpoint = self._endpoints.get(call.path)
        if endpoint is None:
            parent, _, call.app_id = call.path.rpartition("/")
            endpoint = self._endpoints.get(f"{parent}/{APP_ID_IN_PATH}")
        if endpoint is None:
            raise Refused(404)
        if call.method != "POST":
            raise Refused(405)
        return endpoint

    @staticmethod
    async def _fault(call: Call, endpoint: Endpoint) -> Fault | None:
        seconds, fault = call.state.settings.latency_seconds, None
        if call.state.faults:
            slow, fault = call.state.faults.befalling(call.path, endpoint.customers(call.document))
            call.fault = fault.kind if fault else "slow" if slow else None
            seconds += slow
        if seconds:
            await asyncio.sleep(seconds)
        return fault


def _respond(call: Call, endpoint: Endpoint) -> Answer:
    costs = [(window, units) for window, units in _costs(call, endpoint) if units]
    # Every window is asked, so that each counts the calls that it has no room for.
    full = [window for window, units in costs if not window.fits(units)]
    if full:
        raise Refused(429)
    for window, units in costs:
        window.spend(units)
    return endpoint.respond(call)


def _costs(call: Call, endpoint: Endpoint) -> list[tuple[RateWindow, int]]:
    return [(call.state.windows[quota], units(call.document)) for quota, units in endpoint.costs.items()]


def _rate_headers(call: Call, endpoint: Endpoint | None) -> Headers:
    if endpoint is None or not endpoint.costs or not call.authenticated:
        return []
    costs = _costs(call, endpoint)
    windows = [window for window, units in costs if units] or [window for window, _ in costs]
    settings = call.state.settings
    # Of several windows, the one that has the smallest share left is told.
    window = min(windows, key=lambda window: window.share_left)
    return window.headers(settings.limit_style, settings.reset_style)


def _faulty(call: Call, endpoint: Endpoint, fault: Fault) -> tuple[Answer | None, Headers]:
    if fault.kind == "drop_before":
        return None, []
    if fault.kind == "drop_after":
        with contextlib.suppress(Refused):
            _respond(call, endpoint)
        return None, []
    status = 200 if fault.kind == "fail_200" or fault.status is None else fault.status
    headers: Headers = []
    if status in BODILESS or fault.body == "empty":
        answer = Answer(status, b"")
    elif fault.body == "html":
        page = f"<html><body><h1>{status} {phrase_of(status)}</h1></body></html>"
        answer = Answer(status, page.encode(), b"text/html")
    else:
        # A 200 that says "fail" has the error of a 500, where the fault names none.
        error = Refused(500 if status == 200 else status, fault.type, fault.message)
        word = endpoint.failed if fault.kind == "fail_200" else "fail"
        answer = error.answer(call.request_id, status, titled=endpoint.titled, word=word)
        headers = _rate_headers(call, endpoint)
        if status == 429:
            # As a real one: what was not granted is not there.
            headers = [(n, b"0" if n == b"x-ratelimit-remaining" else value) for n, value in headers]
    for name, text in fault.headers.items():
        wanted = name.lower().encode("latin-1")
        headers = [(n, value) for n, value in headers if n != wanted]
        if text is not None:
            headers.append((wanted, text.encode("latin-1")))
    return answer, headers


async def _read(receive: Receive, most: int) -> tuple[bytes, int] | None:
    """
    Read a whole body, and keep no more of it than may be looked at.

    :return: what was kept and how long the whole is; None where the client went away in the middle.
    """
    body, size = b"", 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            return None
        chunk = message.get("body", b"")
        size += len(chunk)
        if len(body) < most:
            body = body + chunk if body else chunk
        if not message.get("more_body", False):
            return body[:most], size


async def _send(send: Send, answer: Answer, headers: Headers) -> None:
    own = [(b"content-length", b"%d" % len(answer.body))]
    if answer.body and not any(name == b"content-type" for name, _ in headers):
        own.append((b"content-type", answer.content_type))
    await send({"type": "http.response.start", "status": answer.status, "headers": own + headers})
    await send({"type": "http.response.body", "body": answer.body})
