"""
What an answer of MoEngage means, without any I/O.

Texts vary per endpoint and edition, so an answer is judged by its status and, where a status has two
meanings, by ``error.type``; never by its message. Source: Data API overview, "Errors".
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pydantic_core import from_json

from airflow_provider_moengage.api.endpoints import Endpoint
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

#: ``error.type`` of 400s that concern the account or the request and not the record; compared case-folded.
ACCOUNT_TYPES = frozenset({"blacklisted", "invalidparams", "paramsrequired", "missing header value"})

#: Characters of ``error.type`` that are kept: it is a word, and stands in logs and reports.
MAX_TYPE = 100

REMEDIES: Mapping[int, str] = {
    401: "check the connection: login is the Workspace ID, password the key of the Data tile, data_center the "
    "workspace's own",
    403: "the account is suspended, or the workspace has an IP allow-list: ask MoEngage's support, or set "
    "forwarded_for in the connection",
    409: "the Workspace ID in the URL and in the credentials differ, or the workspace has no key yet: check the "
    "connection's login, and Settings > Account > APIs",
    415: "this is a fault of this package: please report it",
}


@dataclass(frozen=True)
class Answer:
    """
    An accepted request.

    :param body: the answer's JSON object.
    :param request_id: the id MoEngage's support asks for, where the answer has one.
    """

    body: Mapping[str, Any]
    request_id: str | None


def judge(status: int, content: bytes, retry_after: float | None = None) -> Answer | MoEngageError:
    """
    Tell what an answer means: an :class:`Answer`, or the error to raise or to report.

    :param status: the HTTP status.
    :param content: the body as it came.
    :param retry_after: seconds, where a header names them.
    """
    body = _json_object(content)
    if 200 <= status < 300 and body is not None and not _failed(body):
        return Answer(body, _request_id(body))
    kind, text = _meaning(status, body)
    error = _error(status, body)
    return kind(
        text,
        status=status,
        type=_type(error),
        message=_text(error.get("message")) or ("" if body else content[:2000].decode("utf-8", "replace")),
        request_id=_request_id(body or {}),
        retry_after=retry_after,
    )


def judge_oversized(
    status: int, endpoint: Endpoint, retry_after: float | None = None
) -> Answer | MoEngageError:
    """
    Tell what an answer means that is larger than is read.

    What MoEngage refuses it refuses by the status. A success may say anything: of a call that sends it is no answer,
    and a call that reads is to ask for fewer records.
    """
    if not 200 <= status < 300:
        return judge(status, b"", retry_after)
    says = f"MoEngage answered {status} with more than the {endpoint.max_answer_bytes:,} bytes that are read"
    if endpoint.reads:
        return MoEngagePayloadTooLarge(
            f"{says}: name fewer attributes in fields", status=status, type="answer_too_large"
        )
    return MoEngageNetworkError(
        f"{says}: is a proxy in between, or is the connection's host not MoEngage?", maybe_processed=True
    )


def _meaning(status: int, body: Mapping[str, Any] | None) -> tuple[type[MoEngageError], str]:
    error_type = _type(_error(status, body))
    says = f"MoEngage answered {status}" + (f" {error_type}" if error_type else "")
    if status == 400 or (200 <= status < 300 and body is not None):
        if error_type and error_type.strip().casefold() in ACCOUNT_TYPES:
            return (
                MoEngageRequestRefused,
                f"{says}: it refuses the workspace or the request, whatever the record",
            )
        return MoEngageRecordRefused, says if status == 400 else f"{says} with the status fail"
    if status in (401, 403, 409):
        return MoEngageAuthError, f"{says}: {REMEDIES[status]}"
    if status == 413:
        return MoEngagePayloadTooLarge, f"{says}: the body is too large"
    if status == 429:
        return MoEngageRateLimited, f"{says}: the rate window is spent"
    if status == 408 or status >= 500:
        return MoEngageServerError, f"{says}: the server has trouble"
    if 200 <= status < 300:
        return MoEngageUnexpectedAnswer, (
            f"{says} with a body that is not a JSON object, which MoEngage never does: is a proxy in between, or is "
            "the connection's host not MoEngage?"
        )
    remedy = REMEDIES.get(status, "it is not documented: check the connection's host and data_center")
    return MoEngageUnexpectedAnswer, f"{says}: {remedy}"


def _json_object(content: bytes) -> dict[str, Any] | None:
    try:
        body = from_json(content)
    except ValueError:
        return None
    return body if isinstance(body, dict) else None


def _failed(body: Mapping[str, Any]) -> bool:
    status = body.get("status")
    return isinstance(status, str) and status.strip().casefold() == "fail"


def _error(status: int, body: Mapping[str, Any] | None) -> Mapping[str, Any]:
    """Find what is said of the error: under ``error``, or, on some endpoints, at the top."""
    if body is None:
        return {}
    error = body.get("error")
    if isinstance(error, dict):
        return error
    top = {
        "type": body.get("type") or body.get("error_type") or body.get("title"),
        "message": body.get("message"),
    }
    if isinstance(error, str):
        # Only there is such a text documented, as "IP Validation Required"; elsewhere it may quote a record.
        name = "type" if status in (401, 403, 409) else "message"
        top[name] = top[name] or error
    if body.get("description") and not top["message"]:
        top["message"] = body["description"]
    return top


def _request_id(body: Mapping[str, Any]) -> str | None:
    error = body.get("error")
    found = body.get("request_id") or (error.get("request_id") if isinstance(error, dict) else None)
    return _text(found)


def _type(error: Mapping[str, Any]) -> str | None:
    """Give ``error.type`` as one line that can stand in a log."""
    text = _text(error.get("type"))
    return text and "".join(one if one.isprintable() else " " for one in text[:MAX_TYPE])


def _text(value: object) -> str | None:
    return str(value)[:MAX_TEXT] if value is not None and not isinstance(value, (dict, list)) else None
