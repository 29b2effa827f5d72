"""Device opt-out: blocks and unblocks devices of a user."""

from __future__ import annotations

from typing import Any

from airflow_provider_moengage.sandbox import gate
from airflow_provider_moengage.sandbox.devices import Device
from airflow_provider_moengage.sandbox.request import Endpoint, Request, one
from airflow_provider_moengage.sandbox.response import Refused, Response, accepted, expected, text_in
from airflow_provider_moengage.sandbox.store import User, Users

ACTIONS = ("block", "unblock")
#: Names of the MoEngage id. The types are not documented: any other is treated as an attribute's name.
MOENGAGE_IDS = ("moengage_id", "id")
DEVICE_IDENTIFIERS = ("unique_id", "device_unique_id", "push_id", "moe_gaid")
#: Those that stand for the device_id; the others are attributes of the device.
DEVICE_IDS = ("unique_id", "device_unique_id")


def opt_out_devices(request: Request) -> Response:
    """Block or unblock the named devices, or all devices of the user."""
    document, state = request.document, request.state
    kind, value, identifiers = _checked(document)

    def note(attribute: str | None, what: str) -> None:
        state.bent.record(value if kind == "customer_id" else None, attribute, what)

    users = _users(state.users, kind, value)
    if not users:
        note(None, f"nothing to {document['action_type']}: there is no such user")
        return accepted(request.request_id)
    devices = [device for user in users for device in state.devices.of(user)]
    if identifiers is not None:
        devices = [device for device in devices if any(_is(device, named) for named in identifiers)]
    if not devices:
        note("device_identifiers", f"nothing to {document['action_type']}: there is no such device")
    for device in devices:
        device.blocked = document["action_type"] == "block"
    return accepted(request.request_id)


def _users(users: Users, kind: str, value: str) -> list[User]:
    """Return the users that an identifier matches; several users may share an attribute's value."""
    if kind == "customer_id" or kind in MOENGAGE_IDS:
        user = (users.find if kind == "customer_id" else users.find_id)(value)
        return [] if user is None else [user]
    return users.having(kind, value)


def _checked(document: dict[str, Any]) -> tuple[str, str, list[dict[str, str]] | None]:
    kind = text_in(document, "user_identifier_type")
    value = text_in(document, "user_identifier_value")
    if text_in(document, "action_type") not in ACTIONS:
        raise _value_error("action_type", ACTIONS)
    for name in ("reason", "client_reference_id"):
        if not isinstance(document.get(name, ""), str):
            raise expected(name, "string")
    identifiers = document.get("device_identifiers")
    if "device_identifiers" not in document:
        return kind, value, None
    if not isinstance(identifiers, list) or not identifiers:
        raise expected("device_identifiers", "array")
    for named in identifiers:
        if not isinstance(named, dict) or not named:
            raise expected("device_identifiers", "array of objects")
        for name in named:
            if name not in DEVICE_IDENTIFIERS:
                raise _value_error("device_identifiers", DEVICE_IDENTIFIERS)
            text_in(named, name)
    return kind, value, identifiers


def _value_error(attribute: str, known: tuple[str, ...]) -> Refused:
    return Refused(400, "ValueError", f"{attribute} can only be in {', '.join(known)}", attribute)


def _is(device: Device, named: dict[str, str]) -> bool:
    return all(
        value == (device.device_id if name in DEVICE_IDS else device.attributes.get(name))
        for name, value in named.items()
    )


OPT_OUT_DEVICES = Endpoint(
    path="/v1/devices/manage",
    gate=gate.QUERY_GATE,
    respond=opt_out_devices,
    costs={"opt_out_devices": one},
    customers=lambda document: (document.get("user_identifier_value"),),
)
