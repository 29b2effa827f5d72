"""Cohort sync: adds existing users to a cohort, and removes them from it."""

from __future__ import annotations

from typing import Any

from airflow_provider_moengage.sandbox import gate
from airflow_provider_moengage.sandbox.cohorts import Cohort
from airflow_provider_moengage.sandbox.request import Endpoint, Request, listed, one
from airflow_provider_moengage.sandbox.response import Refused, Response, accepted, expected, missing, text_in

ADD, REMOVE = "add_members", "remove_members"
NOT_IN_NAMES = frozenset('|*?\\:<>=$"')


def cohort_sync(request: Request) -> Response:
    """
    Add users to a cohort or remove them; unknown ones are recorded as bent.

    ``add_members`` creates the cohort. Its name, partner and description are those of the last request.
    """
    state = request.state
    action, described, uids = _checked(request.document)
    cohort = state.cohorts.find(described.cohort_id)
    if cohort is None:
        if action == REMOVE:
            state.bent.record(None, "cohort_id", "nothing to remove: there is no such cohort")
            return accepted(request.request_id)
        cohort = described
        state.cohorts.add(cohort)
    cohort.cohort_name, cohort.partner = described.cohort_name, described.partner
    if described.cohort_description is not None:
        cohort.cohort_description = described.cohort_description
    for uid in uids:
        user = state.users.find(uid)
        if user is None:
            state.bent.record(uid, "members", f"{action} without effect: there is no such user")
        elif action == ADD:
            cohort.members.setdefault(user.id, user)
        else:
            cohort.members.pop(user.id, None)
    return accepted(request.request_id)


def _checked(document: dict[str, Any]) -> tuple[str, Cohort, list[str]]:
    """Check a request and return its action, its cohort without members, and the customer ids."""
    action = text_in(document, "action")
    if action not in (ADD, REMOVE):
        raise Refused(400, "ValueError", f"action can only be in {ADD}, {REMOVE}", "action")
    partner = text_in(document, "partner")
    if "parameters" not in document:
        raise missing("parameters")
    parameters = document["parameters"]
    if not isinstance(parameters, dict):
        raise expected("parameters", "object")
    name = text_in(parameters, "cohort_name")
    if name.startswith(".") or not NOT_IN_NAMES.isdisjoint(name):
        raise Refused(
            400,
            "ValueError",
            f"cohort_name can not begin with a dot or have any of {' '.join(sorted(NOT_IN_NAMES))}",
            "cohort_name",
        )
    cohort_id = text_in(parameters, "cohort_id")
    description = parameters.get("cohort_description")
    if "cohort_description" in parameters and not isinstance(description, str):
        raise expected("cohort_description", "string")
    if "members" not in parameters:
        raise missing("members")
    members = parameters["members"]
    if not isinstance(members, list):
        raise expected("members", "array")
    if not members:
        raise Refused(400, "MissingAttributeError", "members cannot be empty array", "members")
    uids = [_uid(member) for member in members]
    return action, Cohort(cohort_id, name, description, partner), uids


def _uid(member: Any) -> str:
    if not isinstance(member, dict):
        raise expected("members", "array of objects")
    return text_in(member, "uid")


def _customers(document: dict[str, Any]) -> list[Any]:
    parameters = document.get("parameters")
    members = listed(parameters, "members") if isinstance(parameters, dict) else []
    return [member.get("uid") for member in members if isinstance(member, dict)]


COHORT_SYNC = Endpoint(
    path="/v1/integrations/cohortsync",
    # The Workspace ID is in the header MOE-APPKEY, and nowhere in the URL.
    gate=(
        gate.basic_authentication,
        gate.project_code,
        gate.allowed_address,
        gate.required_app_key,
        gate.media_type,
        gate.size,
        gate.json_object,
    ),
    respond=cohort_sync,
    costs={"cohort_syncs": one},
    customers=_customers,
)
