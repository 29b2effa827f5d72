"""
Classifies MoEngage's responses, without any I/O.

Texts vary by endpoint and edition, so a response is classified by its status and, if a status has two meanings, by
``error.type``; never by its message. Source: Data API overview, "Errors".
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic_core import from_json

from airflow_provider_moengage.api.endpoint import Endpoint
from airflow_provider_moengage.api.errors import (
    MAX_TEXT,
    MoEngageAuthError,
    MoEngageError,
    MoEngageNetworkError,
    MoEngagePayloadTooLarge,
    MoEngageRateLimited,
    MoEngageRecordRefused,
    MoEngageRequestRefused,
    MoEngageServerError,
    MoEngageUnexpectedAnswer,
)
from airflow_provider_moengage.api.http.quotes import quotes

#: Values of ``error.type`` that concern the request and not the record; compared after :func:`_normalized`.
REQUEST_TYPES = frozenset({"blacklisted", "invalidparams", "paramsrequired", "missing header value"})
#: Values of ``error.type`` that concern the account or the credentials, whatever the status: Merge Users answers 400
#: with the first three.
ACCOUNT_TYPES = frozenset(
    {
        "account suspended",
        "account temporarily suspended",
        "blockedclient",
        "authentication required",
        "authentication mismatch",
        "ip validation required",
    }
)
ACCOUNT_REMEDY = (
    "it rejects the workspace or its credentials, not the record: check the connection, and ask MoEngage's support "
    "if the account is suspended or blocked"
)

#: The maximum length of ``error.type``, which appears in logs and reports.
MAX_TYPE = 100
#: The maximum length of MoEngage's message in the text of an error.
MAX_QUOTED_MESSAGE = 200
#: How many fields of an undocumented body an error names, and the maximum length of each name.
MAX_FIELDS, MAX_FIELD = 10, 40

REMEDIES: Mapping[int, str] = {
    401: "check the connection, where login is the Workspace ID, password the key of the Data tile (Data API key), "
    "data_center the workspace's own",
    403: "the account is suspended, or the workspace has an IP allow-list: ask MoEngage's support, or set "
    "forwarded_for in the connection",
    409: "the Workspace ID in the URL and in the credentials differ, or the workspace has no key yet: check the "
    "connection's login, and Settings > Account > APIs",
    415: "this is a fault of this package: please report it",
}


@dataclass(frozen=True)
class Response:
    """
    An accepted request.

    :param body: the JSON object of the response.
    :param request_id: the id that MoEngage's support asks for, if the response has one.
    """

    body: Mapping[str, Any]
    request_id: str | None


def classify(
    status: int,
    content: bytes,
    endpoint: Endpoint,
    retry_after: float | None = None,
    *,
    sent: bytes = b"",
    secrets: Sequence[str] = (),
) -> Response | MoEngageError:
    """
    Return a :class:`Response` for a success, or the error to raise or to report.

    :param status: the HTTP status.
    :param content: the body as received.
    :param endpoint: the endpoint of the request; it defines which bodies are a success.
    :param retry_after: seconds, if a header has them.
    :param sent: the body of the request, if it held rows; texts that quote a word of them are left out.
    :param secrets: texts to mask in the response, since a proxy may echo the request with its headers.
    """
    body = _json_object(content)
    if 200 <= status < 300 and body is not None and _succeeded(body, endpoint):
        return Response(body, _request_id(body, secrets))
    error = _error(status, body)
    error_type, message = _type(error, secrets), _text(error.get("message"), secrets)
    kind, text = _error_class_and_text(status, body, error_type, secrets)
    if kind is MoEngageAuthError:
        # It concerns the credentials and no row; only MoEngage knows which of them is wrong.
        text = f"MoEngage answered {status}{_quotation(error_type, message, sent)}: {text}"
    return kind(
        text,
        status=status,
        type=error_type,
        message=message or ("" if body else _text(content[:2000].decode("utf-8", "replace"), secrets)),
        request_id=_request_id(body or {}, secrets),
        retry_after=retry_after,
    )


def _quotation(error_type: str | None, message: str | None, sent: bytes) -> str:
    """Return the type and the message of a response for the text of an error, unless they quote a row."""
    text = f" {error_type}" if error_type and not quotes(error_type, sent) else ""
    if message and not quotes(message, sent):
        text += f' ("{_printable(message[:MAX_QUOTED_MESSAGE])}")'
    return text


def classify_oversized(
    status: int, endpoint: Endpoint, retry_after: float | None = None
) -> Response | MoEngageError:
    """
    Classify a response larger than the maximum that is read.

    An error is determined by its status alone. A success is undetermined without its body: a request that sends counts
    as without a response, and a request that reads should ask for fewer records.
    """
    if not 200 <= status < 300:
        return classify(status, b"", endpoint, retry_after)
    outcome = (
        f"MoEngage answered {status} with more than the {endpoint.max_response_bytes:,} bytes that are read"
    )
    if endpoint.reads:
        return MoEngagePayloadTooLarge(
            f"{outcome}: name fewer attributes in fields", status=status, type="answer_too_large"
        )
    return MoEngageNetworkError(
        f"{outcome}: is a proxy in between, or is the connection's host not MoEngage?", maybe_processed=True
    )


def _error_class_and_text(
    status: int, body: Mapping[str, Any] | None, error_type: str | None, secrets: Sequence[str]
) -> tuple[type[MoEngageError], str]:
    """Return the class of the error and its text; for credentials only the remedy."""
    outcome = f"MoEngage answered {status}" + (f" {error_type}" if error_type else "")
    succeeded = 200 <= status < 300
    known = _normalized(error_type)
    if status in (401, 403, 409):
        return MoEngageAuthError, REMEDIES[status]
    if known in ACCOUNT_TYPES:
        return MoEngageAuthError, ACCOUNT_REMEDY
    if status == 400 or (succeeded and _failed(body)):
        if known in REQUEST_TYPES:
            return (
                MoEngageRequestRefused,
                f"{outcome}: it rejects the workspace or the request, not the record",
            )
        return MoEngageRecordRefused, outcome if status == 400 else f"{outcome} with the status fail"
    if status == 413:
        return MoEngagePayloadTooLarge, f"{outcome}: the body is too large"
    if status == 429:
        return MoEngageRateLimited, f"{outcome}: the rate window is spent"
    if status == 408 or status >= 500:
        return MoEngageServerError, f"{outcome}: the server has trouble"
    if succeeded:
        return MoEngageUnexpectedAnswer, (
            f"MoEngage answered {status} with {_describe(body, secrets)}, which is not a documented success: is a proxy in "
            "between, or is the connection's host not MoEngage?"
        )
    remedy = REMEDIES.get(status, "it is not documented: check the connection's host and data_center")
    return MoEngageUnexpectedAnswer, f"{outcome}: {remedy}"


def _json_object(content: bytes) -> dict[str, Any] | None:
    try:
        body = from_json(content)
    except ValueError:
        return None
    return body if isinstance(body, dict) else None


def _succeeded(body: Mapping[str, Any], endpoint: Endpoint) -> bool:
    """Whether a body is what the endpoint documents as success, and has no error."""
    return not body.get("error") and all(_word(body.get(name)) == word for name, word in endpoint.success)


def _failed(body: Mapping[str, Any] | None) -> bool:
    """Whether a body is what MoEngage documents as a failure of the record."""
    return body is not None and _word(body.get("status")) == "fail"


def _word(value: object) -> str | None:
    return value.strip().casefold() if isinstance(value, str) else None


def _describe(body: Mapping[str, Any] | None, secrets: Sequence[str]) -> str:
    """Describe a body by its status and the names of its fields, without any other value."""
    if body is None:
        return "a body that is not a JSON object"
    if not body:
        return "an empty JSON object"
    status = body.get("status")
    word = isinstance(status, str) and re.fullmatch(r"[A-Za-z_-]{1,40}", status.strip())
    if not word and status not in (None, True, False):
        status = f"of type {type(status).__name__}"
    shown = f"the status {status}" if "status" in body else "no status"
    names = [_printable(_masked(name, secrets)[:MAX_FIELD]) for name in list(body)[:MAX_FIELDS]]
    more = ", …" if len(body) > MAX_FIELDS else ""
    return f"a body with {shown} and the fields {', '.join(names)}{more}"


def _normalized(error_type: str | None) -> str:
    """Normalize an ``error.type``: editions differ in case, whitespace and a trailing full stop."""
    return " ".join((error_type or "").casefold().split()).rstrip(". ")


def _error(status: int, body: Mapping[str, Any] | None) -> Mapping[str, Any]:
    """Return the details of the error: under ``error`` or, on some endpoints, at the top level."""
    if body is None:
        return {}
    error = body.get("error")
    if isinstance(error, dict) and error:
        return error
    top = {
        "type": body.get("type") or body.get("error_type") or body.get("title"),
        "message": body.get("message"),
    }
    if isinstance(error, str):
        # Documented only for these types and statuses, as "IP Validation Required"; otherwise it may quote a record.
        if _normalized(error) in ACCOUNT_TYPES:
            top["type"] = error
        else:
            name = "type" if status in (401, 403, 409) else "message"
            top[name] = top[name] or error
    if body.get("description") and not top["message"]:
        top["message"] = body["description"]
    return top


def _request_id(body: Mapping[str, Any], secrets: Sequence[str]) -> str | None:
    error = body.get("error")
    found = body.get("request_id") or (error.get("request_id") if isinstance(error, dict) else None)
    return _text(found, secrets)


def _type(error: Mapping[str, Any], secrets: Sequence[str]) -> str | None:
    """Return ``error.type`` as a single printable line, safe to log."""
    text = _text(error.get("type"), secrets)
    return text and _printable(text[:MAX_TYPE])


def _printable(text: str) -> str:
    return "".join(one if one.isprintable() else " " for one in text)


def _text(value: object, secrets: Sequence[str]) -> str | None:
    if value is None or isinstance(value, (dict, list)):
        return None
    return _masked(str(value), secrets)[:MAX_TEXT]


def _masked(text: str, secrets: Sequence[str]) -> str:
    """Mask secrets in a text; call it before truncating, which could leave a part of one."""
    for secret in secrets:
        text = text.replace(secret, "***")
    return text
