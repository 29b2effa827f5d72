"""The checks of a request before its body is validated, in the documented order of errors."""

from __future__ import annotations

import base64
import binascii
import json
import re
from typing import NoReturn

from airflow_provider_moengage.sandbox.request import Request
from airflow_provider_moengage.sandbox.response import IP_VALIDATION, Refused

APP_ID = re.compile(r"[A-Za-z0-9_.-]+")
BASIC = "basic "
#: The error type of a malformed app_id.
INVALID_APP_ID = "InvalidParams"


def unauthenticated(message: str) -> Refused:
    """Return a 401; all have the same type."""
    return Refused(401, None, message)


def basic_authentication(request: Request) -> None:
    """401: the Authorization header is missing, empty, undecodable, incomplete or not this workspace's."""
    if request.headers.get(b"authorization") == request.workspace.authorization:
        request.authenticated = True
        return
    header = request.header(b"authorization")
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
    check_credentials(request, app_id, secret)
    request.authenticated = True


def check_credentials(request: Request, app_id: str, secret: str) -> None:
    """401: the key or secret is missing, for another workspace, or the two do not match."""
    if not app_id:
        raise unauthenticated("APP_KEY is missing")
    if not secret:
        raise unauthenticated("APP_SECRET is missing")
    if app_id != request.workspace.workspace_id:
        raise unauthenticated("APP_ID is invalid")
    if secret != request.workspace.api_key:
        raise unauthenticated("APP_KEY and APP_SECRET do not match")


def app_id_in_path(request: Request) -> None:
    """409: the app_id of the path is not the one of the Authorization header."""
    _check_app_id(request, request.app_id)


def app_id_in_query(request: Request) -> None:
    """409: the app_id of the query is not the one of the Authorization header; 400 if it is missing."""
    app_id = request.query.get("app_id")
    if app_id is None:
        raise Refused(400, "ParamsRequired", "app_id is required", "app_id")
    _check_app_id(request, app_id)


def _check_app_id(request: Request, app_id: str) -> None:
    if not APP_ID.fullmatch(app_id):
        raise Refused(400, INVALID_APP_ID, "Given app_id is invalid.", "app_id")
    if app_id != request.workspace.workspace_id:
        raise Refused(409)


def project_code(request: Request) -> None:
    """400: the workspace belongs to a Portfolio, and the query does not name the project."""
    project = request.state.settings.project_code
    if project and request.query.get("project_code") != project:
        raise Refused(400, "ParamsRequired", "project_code is required", "project_code")


def allowed_address(request: Request) -> None:
    """403: the workspace has an IP allow-list, and X-Forwarded-For contains none of its addresses."""
    allowed = request.state.settings.allowed_ips
    if not allowed:
        return
    forwarded = {address.strip() for address in (request.header(b"x-forwarded-for") or "").split(",")}
    if not forwarded & set(allowed):
        raise Refused(403, IP_VALIDATION, "The IP address of the request is not in the allow-list")


def app_key_header(request: Request) -> None:
    """401: MOE-APPKEY is empty, missing although required, or for another workspace."""
    app_key = request.header(b"moe-appkey")
    if app_key is None and not request.state.settings.require_app_key:
        return
    required_app_key(request)


def required_app_key(request: Request) -> None:
    """401: MOE-APPKEY is missing, empty, or for another workspace."""
    app_key = request.header(b"moe-appkey")
    if not app_key:
        raise unauthenticated("MOE-APPKEY is missing in Header")
    if app_key != request.workspace.workspace_id:
        raise unauthenticated(
            "MOE-APPKEY doesn't match the Username (APP_KEY) used in Basic Auth authorization."
        )


def media_type(request: Request) -> None:
    """400: the Content-Type is missing; 415: it is not JSON."""
    content_type = request.header(b"content-type")
    if not content_type:
        raise Refused(400, "Missing header value", "Content-Type is missing", "Content-Type")
    if content_type.partition(";")[0].strip().lower() != "application/json":
        raise Refused(415)


def size(request: Request) -> None:
    """413: the body is too long."""
    if request.body_bytes > request.state.settings.max_body_bytes:
        raise Refused(413)


def json_object(request: Request) -> None:
    """400: the body is empty, not JSON, or not an object."""
    if not request.body.strip():
        raise Refused(400, "Empty request body", "The request body is empty")
    try:
        document = json.loads(request.body.decode(), parse_constant=_no_constant)
    except (ValueError, RecursionError):
        raise Refused(400, "Malformed JSON", "The request body is not valid JSON") from None
    if not isinstance(document, dict):
        raise Refused(400, "Body type is not JSON", "The request body is expected to be a JSON object")
    request.document = document


def _no_constant(name: str) -> NoReturn:
    # Python parses NaN and Infinity, which are not JSON.
    raise ValueError(name)


#: The checks of every endpoint between the app_id and the body size.
HEADERS_GATE = (project_code, allowed_address, app_key_header, media_type)
AFTER_APP_ID = (*HEADERS_GATE, size, json_object)

#: The checks of the endpoints that have the app_id in the path.
PATH_GATE = (basic_authentication, app_id_in_path, *AFTER_APP_ID)
#: The checks of the endpoints that have the app_id in the query.
QUERY_GATE = (basic_authentication, app_id_in_query, *AFTER_APP_ID)
