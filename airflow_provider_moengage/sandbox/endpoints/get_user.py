"""Get User: exports the attributes of up to 20 users."""

from __future__ import annotations

from typing import Any

from airflow_provider_moengage.sandbox import gate, names
from airflow_provider_moengage.sandbox.request import Endpoint, Request, listed
from airflow_provider_moengage.sandbox.response import (
    Refused,
    Response,
    expected,
    missing,
    succeeded,
    text_in,
)
from airflow_provider_moengage.sandbox.store import Profile

MAX_USERS = 20
#: Two editions of the documentation name the second type differently.
IDENTIFIER_TYPES = ("customer_id", "id", "moengage_id")


def enabled(request: Request) -> None:
    """403: the workspace does not have Get User."""
    if not request.state.settings.get_user:
        raise Refused(403, "Forbidden", "Get User is not enabled for the workspace")


def get_user(request: Request) -> Response:
    """Return the requested users; unknown ones are listed, not an error."""
    asked, exported = _checked(request.document)
    users, not_found = [], []
    for identifier in asked:
        by_customer_id = identifier["identifier_type"] == "customer_id"
        find = request.state.users.find if by_customer_id else request.state.users.find_id
        user = find(identifier["identifier"])
        profile = None if user is None else user.shown()
        if profile is None or (by_customer_id and profile.customer_id is None):
            not_found.append(identifier)
        else:
            users.append({"user_attributes": _attributes(profile, exported)})
    found = {"users_not_found": not_found, "users": users}
    return succeeded({"status": "success", "type": "export_users", "data": found})


def _checked(document: dict[str, Any]) -> tuple[list[dict[str, Any]], list[str] | None]:
    if "data" not in document:
        raise missing("data")
    asked = document["data"]
    if not isinstance(asked, dict):
        raise expected("data", "object")
    if "identifiers" not in asked:
        raise missing("identifiers")
    identifiers = asked["identifiers"]
    if not isinstance(identifiers, list) or not identifiers:
        raise expected("identifiers", "array")
    if len(identifiers) > MAX_USERS:
        raise Refused(400, "LimitBreached", f"max limit allowed is {MAX_USERS}", "users")
    for identifier in identifiers:
        if not isinstance(identifier, dict):
            raise expected("identifiers", "array of objects")
        if identifier.get("identifier_type") not in IDENTIFIER_TYPES:
            raise expected("identifier_type", "customer_id or id")
        text_in(identifier, "identifier")
    exported = asked.get("user_fields_to_export")
    if exported is not None and not (
        isinstance(exported, list) and all(isinstance(f, str) for f in exported)
    ):
        raise expected("user_fields_to_export", "array of strings")
    return identifiers, exported


def _attributes(profile: Profile, exported: list[str] | None) -> dict[str, Any]:
    # Names are returned as they were written. The id is always included, as in the documented sample.
    attributes = dict(profile.attributes)
    if profile.customer_id is not None:
        attributes[names.CUSTOMER_ID] = profile.customer_id
    if exported is not None:
        attributes = {name: attributes[name] for name in exported if name in attributes}
    return {**attributes, "id": profile.id}


def _identifiers(document: dict[str, Any]) -> list[Any]:
    asked = document.get("data")
    return listed(asked, "identifiers") if isinstance(asked, dict) else []


GET_USER = Endpoint(
    path="/v1/customers/export",
    gate=(*gate.QUERY_GATE, enabled),
    respond=get_user,
    costs={"get_users": lambda document: max(1, len(_identifiers(document)))},
    customers=lambda document: [i.get("identifier") for i in _identifiers(document) if isinstance(i, dict)],
    failed="failure",
)
