"""The API as an ASGI application: routes each request through gate, faults and rate window."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterable
from typing import Protocol

from starlette.types import Receive, Scope, Send

from airflow_provider_moengage.sandbox.endpoints.authentication import TEST_CONNECTION
from airflow_provider_moengage.sandbox.endpoints.bulk_import import BULK_IMPORT, BULK_IMPORT_BY_QUERY
from airflow_provider_moengage.sandbox.endpoints.cohort_sync import COHORT_SYNC
from airflow_provider_moengage.sandbox.endpoints.create_event import CREATE_EVENT
from airflow_provider_moengage.sandbox.endpoints.delete_user import DELETE_USER
from airflow_provider_moengage.sandbox.endpoints.get_user import GET_USER
from airflow_provider_moengage.sandbox.endpoints.merge_users import MERGE_USERS
from airflow_provider_moengage.sandbox.endpoints.opt_out_devices import OPT_OUT_DEVICES
from airflow_provider_moengage.sandbox.endpoints.track_device import TRACK_DEVICE
from airflow_provider_moengage.sandbox.endpoints.track_user import TRACK_USER
from airflow_provider_moengage.sandbox.faults import Fault
from airflow_provider_moengage.sandbox.request import Endpoint, Request
from airflow_provider_moengage.sandbox.response import Refused, Response, phrase_of
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
    COHORT_SYNC,
    TEST_CONNECTION,
)

APP_ID_IN_PATH = "{app_id}"
BODILESS = (204, 304)


class Connections(Protocol):
    """Closes a connection during a request."""

    def drop(self, client: tuple[str, int]) -> None:
        """Close a client's connection without a response."""


class Api:
    """
    The API of one workspace.

    A request is processed in this order: endpoint (404, 405), gate (401 to 400), latency and faults, window
    (429), body (400), store. A request that the gate rejects consumes no fault, and one that a fault responds to
    consumes no units of the window; with the faults ``slow`` and ``drop_after`` it is processed as usual.
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
        request = Request(
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
        state.request_log.add(request, state.settings.requests_kept)
        response, headers = await self._process(request)
        request.settle(None if response is None else response.status)
        if response is None:
            self._connections.drop(scope["client"])
            # The server logs an application that returns without a response, unless the client has disconnected.
            while (await receive())["type"] != "http.disconnect":
                pass
            return
        await _send(send, response, headers)

    async def _process(self, request: Request) -> tuple[Response | None, Headers]:
        """Return the response (None: drop the connection) and its extra headers."""
        endpoint = None
        try:
            endpoint = self._endpoint(request)
            for check in endpoint.gate:
                check(request)
            fault = await self._fault(request, endpoint)
            if fault is not None:
                return _respond_with_fault(request, endpoint, fault)
            response = _respond(request, endpoint)
        except Refused as refused:
            response = refused.response(request.request_id, titled=endpoint is not None and endpoint.titled)
        return response, _rate_headers(request, endpoint)

    def _endpoint(self, request: Request) -> Endpoint:
        endpoint = self._endpoints.get(request.path)
        if endpoint is None:
            parent, _, request.app_id = request.path.rpartition("/")
            endpoint = self._endpoints.get(f"{parent}/{APP_ID_IN_PATH}")
        if endpoint is None:
            raise Refused(404)
        if request.method != "POST":
            raise Refused(405)
        return endpoint

    @staticmethod
    async def _fault(request: Request, endpoint: Endpoint) -> Fault | None:
        seconds, fault = request.state.settings.latency_seconds, None
        if request.state.faults:
            slow, fault = request.state.faults.firing(request.path, endpoint.customers(request.document))
            request.fault = fault.kind if fault else "slow" if slow else None
            seconds += slow
        if seconds:
            await asyncio.sleep(seconds)
        return fault


def _respond(request: Request, endpoint: Endpoint) -> Response:
    costs = [(window, units) for window, units in _costs(request, endpoint) if units]
    # Check every window, so that each counts the requests that do not fit.
    full = [window for window, units in costs if not window.fits(units)]
    if full:
        raise Refused(429)
    for window, units in costs:
        window.spend(units)
    return endpoint.respond(request)


def _costs(request: Request, endpoint: Endpoint) -> list[tuple[RateWindow, int]]:
    return [
        (request.state.windows[quota], units(request.document)) for quota, units in endpoint.costs.items()
    ]


def _rate_headers(request: Request, endpoint: Endpoint | None) -> Headers:
    if endpoint is None or not endpoint.costs or not request.authenticated:
        return []
    costs = _costs(request, endpoint)
    windows = [window for window, units in costs if units] or [window for window, _ in costs]
    settings = request.state.settings
    # Of several windows, report the one with the smallest share left.
    window = min(windows, key=lambda window: window.share_left)
    return window.headers(settings.limit_style, settings.reset_style)


def _respond_with_fault(
    request: Request, endpoint: Endpoint, fault: Fault
) -> tuple[Response | None, Headers]:
    if fault.kind == "drop_before":
        return None, []
    if fault.kind == "drop_after":
        with contextlib.suppress(Refused):
            _respond(request, endpoint)
        return None, []
    status = 200 if fault.kind == "fail_200" or fault.status is None else fault.status
    headers: Headers = []
    if status in BODILESS or fault.body == "empty":
        response = Response(status, b"")
    elif fault.body == "html":
        page = f"<html><body><h1>{status} {phrase_of(status)}</h1></body></html>"
        response = Response(status, page.encode(), b"text/html")
    else:
        # A 200 with "fail" in the body has the error of a 500, unless the fault names another.
        error = Refused(500 if status == 200 else status, fault.type, fault.message)
        word = endpoint.failed if fault.kind == "fail_200" else "fail"
        response = error.response(request.request_id, status, titled=endpoint.titled, word=word)
        headers = _rate_headers(request, endpoint)
        if status == 429:
            # As with a real 429, no units remain.
            headers = [(n, b"0" if n == b"x-ratelimit-remaining" else value) for n, value in headers]
    for name, text in fault.headers.items():
        wanted = name.lower().encode("latin-1")
        headers = [(n, value) for n, value in headers if n != wanted]
        if text is not None:
            headers.append((wanted, text.encode("latin-1")))
    return response, headers


async def _read(receive: Receive, maximum: int) -> tuple[bytes, int] | None:
    """
    Read a whole body, and keep at most ``maximum`` bytes of it.

    :return: the bytes kept and the length of the whole; None if the client disconnected.
    """
    body, size = b"", 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            return None
        chunk = message.get("body", b"")
        size += len(chunk)
        if len(body) < maximum:
            body = body + chunk if body else chunk
        if not message.get("more_body", False):
            return body[:maximum], size


async def _send(send: Send, response: Response, headers: Headers) -> None:
    own = [(b"content-length", b"%d" % len(response.body))]
    if response.body and not any(name == b"content-type" for name, _ in headers):
        own.append((b"content-type", response.content_type))
    await send({"type": "http.response.start", "status": response.status, "headers": own + headers})
    await send({"type": "http.response.body", "body": response.body})
