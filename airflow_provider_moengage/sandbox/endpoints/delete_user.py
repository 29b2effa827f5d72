"""Delete User: marks one user for deletion."""

from __future__ import annotations

from airflow_provider_moengage.sandbox import gate
from airflow_provider_moengage.sandbox.request import Endpoint, Request, one
from airflow_provider_moengage.sandbox.response import Refused, Response, accepted, text_in

#: One edition of the documentation has ``id`` in its schema and ``moengage_id`` in its text.
IDENTITY_TYPES = ("customer_id", "moengage_id", "id")


def delete_user(request: Request) -> Response:
    """Mark a user for deletion, which MoEngage carries out a day later; the sandbox keeps the user."""
    kind = text_in(request.document, "identity_type")
    if kind not in IDENTITY_TYPES:
        raise Refused(
            400, "ValueError", f"identity_type can only be in {', '.join(IDENTITY_TYPES)}", "identity_type"
        )
    value, users = text_in(request.document, "identity_value"), request.state.users
    user = users.find(value) if kind == "customer_id" else users.find_id(value)
    if user is None:
        raise Refused(400, "Not Found", f"User doesn't exists with {kind} {value}")
    user.deletion_requested = True
    return accepted(request.request_id)


def app_id_in_query(request: Request) -> None:
    """403: the app_id is malformed, which is a 400 elsewhere; 409 and 400 as for other endpoints."""
    try:
        gate.app_id_in_query(request)
    except Refused as refused:
        if refused.type == gate.INVALID_APP_ID:
            raise Refused(403, refused.type, "given app_id is invalid/blocked") from None
        raise


DELETE_USER = Endpoint(
    path="/v1/customer/delete",
    gate=(gate.basic_authentication, app_id_in_query, *gate.AFTER_APP_ID),
    respond=delete_user,
    costs={"delete_users": one},
    customers=lambda document: (document.get("identity_value"),),
    titled=True,
)
