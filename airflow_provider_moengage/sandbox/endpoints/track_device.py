"""Track Device: creates and updates one device of a user."""

from __future__ import annotations

from typing import Any

from airflow_provider_moengage.sandbox import gate
from airflow_provider_moengage.sandbox.customers import Customer, customer_of
from airflow_provider_moengage.sandbox.devices import MAX_DEVICES
from airflow_provider_moengage.sandbox.platforms import OF_SAMPLES, as_listed
from airflow_provider_moengage.sandbox.request import Endpoint, Request, one
from airflow_provider_moengage.sandbox.response import Refused, Response, accepted, expected, missing, text_in
from airflow_provider_moengage.sandbox.settings import Settings

PLATFORMS = ("ANDROID", "iOS", "web", "TV")
OPTED = ("True", "False")
FIELDS = frozenset({"type", "customer_id", "device_id", "attributes"})
ATTRIBUTES = frozenset(
    {
        *("platform", "push_id", "model", "app_version", "os_version", "moe_gaid", "idfv"),
        *("moe_push_opted", "moe_push_provisional_opted"),
    }
)


def track_device(request: Request) -> Response:
    """Store a device; what MoEngage would silently drop or alter is recorded as bent."""
    store(request, request.document, checked(request.document, request.state.settings))
    return accepted(request.request_id)


def checked(document: dict[str, Any], settings: Settings) -> Customer:
    """Check a device object and return its customer; raise the documented errors."""
    text_in(document, "type")
    # A device object has no field for identifiers.
    customer = customer_of(document, None, settings)
    text_in(document, "device_id")
    if "attributes" not in document:
        raise missing("attributes")
    attributes = document["attributes"]
    if not isinstance(attributes, dict):
        raise expected("attributes", "object")
    if text_in(attributes, "platform") not in (*PLATFORMS, *OF_SAMPLES):
        raise Refused(400, "ValueError", "'platform' is not a valid platform.", "platform")
    text_in(attributes, "push_id")
    return customer


def store(request: Request, document: dict[str, Any], customer: Customer) -> None:
    """Store a checked device as MoEngage would."""
    state = request.state

    def note(attribute: str | None, what: str) -> None:
        state.bent.record(customer.customer_id, attribute, what)

    if document["type"] != "device":
        note(None, "not processed: the type is not exactly device")
        return
    user = state.users.of(customer)
    if user is None:
        note(None, "device not stored: there is no such customer")
        return
    attributes = {}
    for name, value in document["attributes"].items():
        if name not in ATTRIBUTES:
            note(name, "dropped: a device has no custom attributes")
        elif not isinstance(value, str):
            note(name, "dropped: expected to be a string")
        elif name == "moe_push_opted" and value not in OPTED:
            note(name, 'dropped: expected to be "True" or "False"')
        else:
            attributes[name] = as_listed(value, note) if name == "platform" else value
    for name in document.keys() - FIELDS:
        note(name, "ignored: no field of a device object")
    if not state.devices.apply(user, document["device_id"], attributes):
        note(None, f"device not stored: the customer has {MAX_DEVICES} devices already")


TRACK_DEVICE = Endpoint(
    path="/v1/device/{app_id}",
    gate=gate.PATH_GATE,
    respond=track_device,
    costs={"devices": one},
    customers=lambda document: (document.get("customer_id"),),
)
