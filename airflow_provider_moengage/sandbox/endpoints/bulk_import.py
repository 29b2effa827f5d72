"""Bulk Import: stores customers, events and devices, freely mixed, from one request."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from airflow_provider_moengage.sandbox import gate
from airflow_provider_moengage.sandbox.endpoints import create_event, track_device, track_user
from airflow_provider_moengage.sandbox.request import Endpoint, Request, listed
from airflow_provider_moengage.sandbox.response import Refused, Response, accepted, expected
from airflow_provider_moengage.sandbox.settings import Settings

#: By the type of an element: the functions that check and store it.
KINDS: dict[
    str, tuple[Callable[[dict[str, Any], Settings], Any], Callable[[Request, dict[str, Any], Any], None]]
]
KINDS = {
    "customer": (track_user.checked, track_user.store),
    "event": (create_event.checked, create_event.store),
    "device": (track_device.checked, track_device.store),
}


def bulk_size(request: Request) -> None:
    """413: the body is too long for Bulk Import, which accepts less than the other endpoints."""
    if request.body_bytes > request.state.settings.max_bulk_bytes:
        raise Refused(413, None, "The payload can not exceed 100KB")


def strict_json_object(request: Request) -> None:
    """400: the body is not a JSON object; in lenient mode even that gets a 200."""
    try:
        gate.json_object(request)
    except Refused:
        if request.state.settings.bulk_strict:
            raise


def bulk_import(request: Request) -> Response:
    """
    Store the elements in order.

    MoEngage's documentation lists errors for bad elements, but also says that every request gets a 200. In strict
    mode one bad element causes a 400 that does not identify it, and nothing is stored. In lenient mode the response
    is 200, and bad elements are dropped and recorded as bent.
    """
    state = request.state
    good = []
    try:
        for element in _elements(request.document):
            try:
                good.append((element, _checked(element, state.settings)))
            except Refused as refused:
                if state.settings.bulk_strict:
                    raise
                customer_id = element.get("customer_id") if isinstance(element, dict) else None
                state.bent.record(customer_id, refused.attribute, f"element dropped: {refused.message}")
    except Refused as refused:
        if state.settings.bulk_strict:
            raise
        state.bent.record(None, refused.attribute, f"call dropped: {refused.message}")
    for element, outcome in good:
        KINDS[element["type"]][1](request, element, outcome)
    return accepted(request.request_id)


def _elements(document: dict[str, Any]) -> list[Any]:
    if document.get("type") != "transition":
        raise expected("type", "transition")
    elements = document.get("elements")
    if not isinstance(elements, list):
        raise expected("elements", "array")
    if not elements:
        raise Refused(400, "MissingAttributeError", "elements cannot be empty array", "elements")
    return elements


def _checked(element: Any, settings: Settings) -> Any:
    if not isinstance(element, dict):
        raise expected("elements", "array of objects")
    kind = element.get("type")
    if not isinstance(kind, str) or kind not in KINDS:
        raise Refused(400, "AttributeError", "type in elements should be customer/event/device", "type")
    if "customer_id" not in element and not settings.identifiers:
        raise Refused(400, "MissingAttributeError", "customer_id not found in the payload", "customer_id")
    return KINDS[kind][0](element, settings)


def _of_kind(document: dict[str, Any], kind: str) -> list[dict[str, Any]]:
    elements = listed(document, "elements")
    return [element for element in elements if isinstance(element, dict) and element.get("type") == kind]


def _customers(document: dict[str, Any]) -> list[Any]:
    return [e.get("customer_id") for e in listed(document, "elements") if isinstance(e, dict)]


_AFTER_APP_ID = (*gate.HEADERS_GATE, bulk_size, strict_json_object)

BULK_IMPORT = Endpoint(
    path="/v1/transition/{app_id}",
    gate=(gate.basic_authentication, gate.app_id_in_path, *_AFTER_APP_ID),
    respond=bulk_import,
    costs={
        "bulk_users": lambda document: len(_of_kind(document, "customer")),
        "bulk_events": lambda document: sum(
            max(1, len(listed(event, "actions"))) for event in _of_kind(document, "event")
        ),
        "bulk_devices": lambda document: len(_of_kind(document, "device")),
    },
    customers=_customers,
)

#: Official samples of bulk requests have the app_id in the query.
BULK_IMPORT_BY_QUERY = replace(
    BULK_IMPORT,
    path="/v1/transition",
    gate=(gate.basic_authentication, gate.app_id_in_query, *_AFTER_APP_ID),
)
