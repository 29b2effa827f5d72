"""Track User: creates and updates one user."""

from __future__ import annotations

from typing import Any

from airflow_provider_moengage.sandbox import gate
from airflow_provider_moengage.sandbox.customers import customer_of
from airflow_provider_moengage.sandbox.request import Endpoint, Request, one
from airflow_provider_moengage.sandbox.response import Refused, Response, accepted, expected
from airflow_provider_moengage.sandbox.settings import Settings
from airflow_provider_moengage.sandbox.store import UnsetRule, Update

UNSET_TYPES = ("equals", "prefix", "suffix", "contains")
ADD, REMOVE = "addValueToArrayField", "removeValueFromArrayField"
FIELDS = frozenset(
    {"type", "customer_id", "attributes", "unset_attributes", "update_existing_only", "platforms"}
)


def track_user(request: Request) -> Response:
    """Store an update; what MoEngage would silently drop or alter is recorded as bent."""
    store(request, request.document, checked(request.document, request.state.settings))
    return accepted(request.request_id)


def checked(document: dict[str, Any], settings: Settings) -> Update:
    """Check a customer object and return its update; raise the documented errors."""
    if not isinstance(document.get("type"), str):
        raise expected("type", "string")
    customer = customer_of(document, document.get("attributes"), settings)
    unset = _unset_rules(document.get("unset_attributes", []))
    # Without attributes, the request creates a bare user or only unsets attributes.
    sent = document.get("attributes", {})
    if not isinstance(sent, dict):
        raise expected("attributes", "object")
    update_existing_only = document.get("update_existing_only", False)
    if not isinstance(update_existing_only, bool):
        raise expected("update_existing_only", "boolean")
    attributes = {name: value for name, value in sent.items() if name not in (ADD, REMOVE)}
    if "platforms" in document:
        # One edition of the documentation has it here, the others inside the attributes.
        attributes.setdefault("platforms", document["platforms"])
    add, remove = _array_values(sent, ADD), _array_values(sent, REMOVE)
    if add or remove:
        _check_operators(attributes, {ADD: add, REMOVE: remove})
    return Update(customer, attributes, add, remove, unset, update_existing_only, sent)


def store(request: Request, document: dict[str, Any], update: Update) -> None:
    """Store a checked update as MoEngage would."""
    state = request.state

    def note(attribute: str | None, what: str) -> None:
        state.bent.record(update.customer.customer_id, attribute, what)

    if document["type"] != "customer":
        note(None, "not processed: the type is not exactly customer")
        return
    if update.customer.blocked:
        note(None, "not processed: the customer_id is blocked")
        return
    for name in document.keys() - FIELDS:
        note(name, "ignored: no field of a customer object")
    if update.unset and not state.settings.unset_attributes:
        note(None, "unset_attributes ignored: the workspace does not have the feature")
        update = Update(**{**vars(update), "unset": ()})
    if any(rule.matches("customer_id") for rule in update.unset):
        note("customer_id", "not unset: the customer_id cannot be")
    state.users.apply(update, state.settings, note)


def _unset_rules(rules: Any) -> tuple[UnsetRule, ...]:
    if not isinstance(rules, list):
        raise expected("unset_attributes", "array")
    checked_rules = []
    for rule in rules:
        if not isinstance(rule, dict):
            raise expected("unset_attributes", "array of objects")
        if rule.get("type") not in UNSET_TYPES:
            raise expected("type", "one of " + ", ".join(UNSET_TYPES))
        if not isinstance(rule.get("attr"), str) or not rule["attr"]:
            raise expected("attr", "string")
        if not isinstance(rule.get("case_sensitive", True), bool):
            raise expected("case_sensitive", "boolean")
        checked_rules.append(UnsetRule(rule["type"], rule["attr"], rule.get("case_sensitive", True)))
    return tuple(checked_rules)


def _array_values(attributes: dict[str, Any], operator: str) -> dict[str, list[Any]]:
    values = attributes.get(operator, {})
    if not isinstance(values, dict):
        raise expected(operator, "object")
    for name, listed in values.items():
        if not isinstance(listed, list):
            raise expected(name, "array")
    return values


def _check_operators(attributes: dict[str, Any], named: dict[str, dict[str, list[Any]]]) -> None:
    """Check that a request changes each attribute in only one way; the error names the operator."""
    for name in named[ADD]:
        if name in named[REMOVE]:
            raise _array_error(ADD, f"Cannot add and remove '{name}' at the same time")
    for operator, names in named.items():
        for name in names:
            if name in attributes:
                raise _array_error(operator, f"Cannot set '{name}' and use {operator} on it at the same time")
            if name == "platforms":
                raise _array_error(operator, f"{operator} is not for platforms")


def _array_error(operator: str, message: str) -> Refused:
    return Refused(400, "ArrayFieldError", message, operator)


TRACK_USER = Endpoint(
    path="/v1/customer/{app_id}",
    gate=gate.PATH_GATE,
    respond=track_user,
    costs={"users": one},
    customers=lambda document: (document.get("customer_id"),),
)
