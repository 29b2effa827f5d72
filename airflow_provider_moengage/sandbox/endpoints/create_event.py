"""Create Event: stores events of one customer."""

from __future__ import annotations

import time
from functools import partial
from typing import Any

from airflow_provider_moengage.sandbox import gate, names
from airflow_provider_moengage.sandbox.customers import Customer, customer_of
from airflow_provider_moengage.sandbox.events import Event
from airflow_provider_moengage.sandbox.platforms import as_listed
from airflow_provider_moengage.sandbox.request import Endpoint, Request, listed
from airflow_provider_moengage.sandbox.response import Refused, Response, accepted, expected, missing, text_in
from airflow_provider_moengage.sandbox.settings import Settings
from airflow_provider_moengage.sandbox.store import NAME_CHARACTERS, Note
from airflow_provider_moengage.sandbox.times import epoch_seconds, in_milliseconds
from airflow_provider_moengage.sandbox.values import DROPPED, plain

PLATFORMS = ("ANDROID", "iOS", "web", "TV", "unknown")
TV_SYSTEMS = ("ROKU", "WebOS", "AndroidTV", "tvOS", "Tizen", "FireOS", "VizioTV", "Xbox")
MAX_ATTRIBUTES = 100
MAX_OFFSET_SECONDS = 54_000
#: Tolerance for clock skew: an event further ahead is in the future.
GRACE_SECONDS = 60

FIELDS = frozenset(
    {"type", "customer_id", "device_id", "user_identifiers", "actions", "update_existing_only"}
)
TEXTS = ("platform", "moe_os_type", "app_version")
ACTION_FIELDS = frozenset(
    {"action", "attributes", *TEXTS, "user_time", "current_time", "user_timezone_offset"}
)


def create_event(request: Request) -> Response:
    """Store events; what MoEngage would silently drop or alter is recorded as bent."""
    store(request, request.document, checked(request.document, request.state.settings))
    return accepted(request.request_id)


def checked(document: dict[str, Any], settings: Settings) -> Customer:
    """Check an event object and return its customer; raise the documented errors."""
    text_in(document, "type")
    if not isinstance(document.get("user_identifiers", {}), dict):
        raise expected("user_identifiers", "object")
    customer = customer_of(document, document.get("user_identifiers"), settings)
    if "device_id" in document:
        text_in(document, "device_id")
    if not isinstance(document.get("update_existing_only", False), bool):
        raise expected("update_existing_only", "boolean")
    if "actions" not in document:
        raise missing("actions")
    actions = document["actions"]
    if not isinstance(actions, list):
        raise expected("actions", "array")
    if not actions:
        raise Refused(400, "MissingAttributeError", "actions can not be empty Array", "actions")
    for action in actions:
        _check_action(action)
    return customer


def _check_action(action: Any) -> None:
    if not isinstance(action, dict):
        raise expected("actions", "array of objects")
    name = action.get("action")
    if isinstance(name, str) and not name.strip():
        raise Refused(400, "MissingAttributeError", "action cannot be empty Unicode string", "action")
    text_in(action, "action")
    if not isinstance(action.get("attributes", {}), dict):
        raise expected("attributes", "object")
    for name in TEXTS:
        if not isinstance(action.get(name, ""), str):
            raise expected(name, "string")


def store(request: Request, document: dict[str, Any], customer: Customer) -> None:
    """Store the events of a checked object as MoEngage would; this may create the user."""
    state, received = request.state, time.time()

    def note(attribute: str | None, what: str) -> None:
        state.bent.record(customer.customer_id, attribute, what)

    if document["type"] != "event":
        note(None, "not processed: the type is not exactly event")
        return
    if customer.blocked:
        note(None, "not processed: the customer_id is blocked")
        return
    for name in document.keys() - FIELDS:
        note(name, "ignored: no field of an event object")
    if "user_identifiers" in document and not state.settings.identifiers:
        note("user_identifiers", "ignored: the workspace does not have Identity Resolution")
    if document.get("update_existing_only") and state.users.of(customer) is None:
        return
    for action in document["actions"]:
        if action["action"].startswith(names.SYSTEM_PREFIX):
            note(action["action"], "event not stored: the name has the system prefix moe_")
            continue
        offset = _timezone_offset(action, note)
        happened = _happened(action, offset or 0.0, received, note)
        if happened > received + GRACE_SECONDS:
            note(action["action"], "event not stored: it lies in the future")
            continue
        for name in action.keys() - ACTION_FIELDS:
            note(name, "ignored: no field of an action")
        platform, moe_os_type = _platform(action, note)
        event = Event(
            user=state.users.of_or_new(customer),
            action=_cut(action["action"], note),
            attributes=_attributes(action.get("attributes", {}), state.settings, note),
            time=happened,
            user_timezone_offset=offset,
            platform=platform,
            moe_os_type=moe_os_type,
            app_version=action.get("app_version"),
            device_id=document.get("device_id"),
            request_id=request.request_id,
        )
        state.events.add(event)


def _cut(name: str, note: Note) -> str:
    if len(name) > NAME_CHARACTERS:
        note(name, f"the name was cut to {NAME_CHARACTERS} characters")
    return name[:NAME_CHARACTERS]


def _timezone_offset(action: dict[str, Any], note: Note) -> float | None:
    offset = action.get("user_timezone_offset")
    if offset is None:
        return None
    if isinstance(offset, bool) or not isinstance(offset, int | float) or abs(offset) > MAX_OFFSET_SECONDS:
        note(
            "user_timezone_offset",
            f"ignored: expected to be seconds from -{MAX_OFFSET_SECONDS} to {MAX_OFFSET_SECONDS}",
        )
        return None
    return offset


def _happened(action: dict[str, Any], offset: float, received: float, note: Note) -> float:
    # The UTC time takes precedence, since it needs no offset. Without a time, the event happened now.
    happened = None
    for name, ahead in (("current_time", 0.0), ("user_time", offset)):
        if name not in action:
            continue
        seconds = epoch_seconds(action[name])
        if seconds is None:
            note(name, "ignored: a time in no documented form")
            continue
        if in_milliseconds(action[name]):
            note(name, "taken as milliseconds: a time is documented in seconds")
        if happened is None:
            happened = seconds - ahead
    return received if happened is None else happened


def _platform(action: dict[str, Any], note: Note) -> tuple[str | None, str | None]:
    platform, moe_os_type = action.get("platform"), action.get("moe_os_type")
    if platform is not None and platform not in PLATFORMS:
        platform = as_listed(platform, note)
        if platform not in PLATFORMS:
            note("platform", "stored as unknown: the platform is one of " + ", ".join(PLATFORMS))
            platform = "unknown"
    if moe_os_type is not None and (platform != "TV" or moe_os_type not in TV_SYSTEMS):
        note("moe_os_type", "ignored: goes with the platform TV only, and is one of " + ", ".join(TV_SYSTEMS))
        moe_os_type = None
    return platform, moe_os_type


def _attributes(sent: dict[str, Any], settings: Settings, note: Note) -> dict[str, Any]:
    attributes: dict[str, Any] = {}
    for name, value in sent.items():
        if name.startswith(names.SYSTEM_PREFIX):
            note(name, "dropped: the name has the system prefix moe_")
            continue
        if len(attributes) == MAX_ATTRIBUTES:
            note(name, f"dropped: the event has {MAX_ATTRIBUTES} attributes already")
            continue
        stored = plain(value, objects=settings.object_attributes, note=partial(note, name))
        if stored is not DROPPED:
            attributes[_cut(name, note)] = stored
    return attributes


CREATE_EVENT = Endpoint(
    path="/v1/event/{app_id}",
    gate=gate.PATH_GATE,
    respond=create_event,
    costs={"events": lambda document: max(1, len(listed(document, "actions")))},
    customers=lambda document: (document.get("customer_id"),),
)
