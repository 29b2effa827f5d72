"""Merge Users: moves the data of one user to another."""

from __future__ import annotations

from typing import Any

from airflow_provider_moengage.sandbox import gate
from airflow_provider_moengage.sandbox.request import Endpoint, Request, listed
from airflow_provider_moengage.sandbox.response import (
    Refused,
    Response,
    expected,
    missing,
    succeeded,
    text_in,
)

MAX_PAIRS = 50
MERGED, RETAINED = "merged_user", "retained_user"


def no_identity_resolution(request: Request) -> None:
    """403: a workspace with Identity Resolution merges automatically; the documentation names no error."""
    if request.state.settings.identifiers:
        raise Refused(403, "Forbidden", "Merge Users is off in workspaces with Identity Resolution")


def merge_users(request: Request) -> Response:
    """
    Merge each pair; one that cannot be merged is silently skipped, and recorded as bent.

    The sandbox removes the merged user immediately; MoEngage keeps it for another 30 days.
    """
    state = request.state
    for pair in _checked(request.document):
        merged, retained = state.users.find(pair[MERGED]), state.users.find(pair[RETAINED])
        if merged is None or retained is None:
            unknown = MERGED if merged is None else RETAINED
            state.bent.record(pair[unknown], unknown, "pair skipped: there is no such user")
        elif merged is retained:
            state.bent.record(pair[MERGED], MERGED, "pair skipped: both are one user")
        else:
            state.users.merge(merged, retained)
            state.events.merge(merged, retained)
            state.devices.merge(merged, retained)
            state.cohorts.merge(merged, retained)
    return succeeded({"status": "success", "operation": "created"})


def _checked(document: dict[str, Any]) -> list[dict[str, str]]:
    if "merge_data" not in document:
        raise missing("merge_data")
    pairs = document["merge_data"]
    if not isinstance(pairs, list) or not pairs:
        raise expected("merge_data", "array")
    if len(pairs) > MAX_PAIRS:
        raise Refused(400, "LimitBreached", f"max limit allowed is {MAX_PAIRS}", "merge_data")
    for pair in pairs:
        if not isinstance(pair, dict):
            raise expected("merge_data", "array of objects")
        for name in (MERGED, RETAINED):
            text_in(pair, name)
    return pairs


def _customers(document: dict[str, Any]) -> list[Any]:
    pairs = [pair for pair in listed(document, "merge_data") if isinstance(pair, dict)]
    return [pair.get(name) for pair in pairs for name in (MERGED, RETAINED)]


MERGE_USERS = Endpoint(
    path="/v1/customer/merge",
    gate=(*gate.QUERY_GATE, no_identity_resolution),
    respond=merge_users,
    costs={"merge_users": lambda document: max(1, len(listed(document, "merge_data")))},
    customers=_customers,
)
