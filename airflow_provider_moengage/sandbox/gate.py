"""The checks that a call passes before its body is looked into, in the documented order of the errors."""

from __future__ import annotations

import base64
import binascii
import json
import re
from typing import NoReturn

from airflow_provider_moengage.sandbox.answers import IP_VALIDATION, Refused
from airflow_provider_moengage.sandbox.calls import Call

APP_ID = re.compile(r"[A-Za-z0-9_.-]+")
BASIC = "basic "
#: The error type of an app_id that no workspace can have.
INVALID_APP_ID = "InvalidParams"


def unauthenticated(message: str) -> Refused:
    """Give a 401; they all have one type."""
    return Refused(401, None, message)


def basic_authentication(call: Call) -> None:
    """401: the Authorization header is missing, empty, undecodable, incomplete or not this workspace's."""
    if call.headers.get(b"authorization") == call.workspace.authorization:
        call.authenticated = True
        return
    header = call.header(b"authorization")
    if header is None:
        raise unauthenticated("Authentication header is missing")
    if not header or header.lower() == BASIC.strip():
        raise unauthenticated("Authentication header is empty")
    try:
        if not header.lower().startswith(BASIC):
            raise ValueError("not Basic")
        credentials = base64.b64decode(header[len(BASIC) :].strip(), validate=True).decode()
    except (ValueError, binascii.Error):
        raise unauthenticated("Authentication header could not be decoded") from None
    app_id, _, secret = credentials.partition(":")
    check_credentials(call, app_id, secret)
    call.authenticated = True


def check_credentials(call: Call, app_id: str, secret: str) -> None:
    """401: key or secret missing, another workspace, or the two do not belong together."""
    if not app_id:
        raise unauthenticated("APP_KEY is missing")
    if not secret:
        raise unauthenticated("APP_SECRET is missing")
    if app_id != call.workspace.workspace_id:
        raise unauthenticated("APP_ID is invalid")
    if secret != call.workspace.api_key:
        raise unauthenticated("APP_KEY and APP_SECRET do not match")


def app_id_in_path(call: Call) -> None:
    """409: the app_id of the path is not the one of the Authorization header."""
    _check_app_id(call, call.app_id)


def app_id_in_query(call: Call) -> None:
    """409: the app_id of the query is not the one of the Authorization header; 400 where there is none."""
    app_id = call.query.get("app_id")
    if app_id is None:
        raise Refused(400, "ParamsRequired", "app_id is required", "app_id")
    _check_app_id(call, app_id)


def _check_app_id(call: Call, app_id: str) -> None:
    if not APP_ID.fullmatch(app_id):
        raise Refused(400, INVALID_APP_ID, "Given app_id is invalid.", "app_id")
    if app_id != call.workspace.workspace_id:
        raise Refused(409)


def project_code(call: Call) -> None:
    """400: the workspace is a Portfolio's, and the query does not name the project."""
    project = call.state.settings.project_code
    if project and call.query.get("project_code") != project:
        raise Refused(400, "ParamsRequired", "project_code is required", "project_code")


def allowed_address(call: Call) -> None:
    """403: the workspace allows listed addresses only, and X-Forwarded-For names none of them."""
    allowed = call.state.settings.allowed_ips
    if not allowed:
        return
    forwarded = {address.strip() for address in (call.header(b"x-forwarded-for") or "").split(",")}
    if not forwarded & set(allowed):
        raise Refused(403, IP_VALIDATION, "The IP address of the request is not in the allow-list")


def app_key_header(call: Call) -> None:
    """401: MOE-APPKEY is empty, missing where it is required, or another workspace's."""
    app_key = call.header(b"moe-appkey")
    if app_key is None and not call.state.settings.require_app_key:
        return
    required_app_key(call)


def required_app_key(call: Call) -> None:
    """401: MOE-APPKEY is missing or empty, or another workspace's."""
    app_key = call.header(b"moe-appkey")
    if not app_key:
        raise unauthenticated("MOE-APPKEY is missing in Header")
    if app_key != call.workspace.workspace_id:
        raise unauthenticated(
            "MOE-APPKEY doesn't match the Username (APP_KEY) used in Basic Auth authorization."
        )


def media_type(call: Call) -> None:
    """400 without a Content-Type, 415 with one that is not JSON."""
    content_type = call.header(b"content-type")
    if not content_type:
        raise Refused(400, "Missing header value", "Content-Type is missing", "Content-Type")
    if content_type.partition(";")[0].strip().lower() != "application/json":
        raise Refused(415)


def size(call: Call) -> None:
    """413: the body is too long."""
    if call.body_bytes > call.state.settings.max_body_bytes:
        raise Refused(413)


def json_object(call: Call) -> None:
    """400: the body is empty, is not JSON, or is JSON but no object."""
    if not call.body.strip():
        raise Refused(400, "Empty request body", "The request body is empty")
    try:
        document = json.loads(call.body.decode(), parse_constant=_no_constant)
    except (ValueError, RecursionError):
        raise Refused(400, "Malformed JSON", "The request body is not valid JSON") from None
    if not isinstance(document, dict):
        raise Refused(400, "Body type is not JSON", "The request body is expected to be a JSON object")
    call.document = document


def _no_constant(name: str) -> NoReturn:
    # Python reads NaN and Infinity, JSON does not have them.
    raise ValueError(name)


#: The checks of every endpoint between the app_id and the size of the body.
HEADERS_GATE = (project_code, allowed_address, app_key_header, media_type)
AFTER_APP_ID = (*HEADERS_GATE, size, json_object)

#: The checks of the endpoints that have the app_id in the path.
PATH_GATE = (basic_authentication, app_id_in_path, *AFTER_APP_ID)
#: The checks of the endpoints that have the app_id in the query.
QUERY_GATE = (basic_authentication, app_id_in_query, *AFTER_APP_ID)
