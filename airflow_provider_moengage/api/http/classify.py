"""
What an answer of MoEngage means, without any I/O.

Texts vary per endpoint and edition, so an answer is judged by its status and, where a status has two
meanings, by ``error.type``; never by its message. Source: Data API overview, "Errors".
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
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
from airflow_provider_moengage.api.http.quotes import quotes

#: ``error.type`` of what concerns the request and not the record; compared as :func:`_normalized` writes it.
REQUEST_TYPES = frozenset({"blacklisted", "invalidparams", "paramsrequired", "missing header value"})
#: ``error.type`` of what concerns the account or the credentials, under whichever status it comes: Merge Users answers
#: 400 with the first three.
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
    "it refuses the workspace or its credentials, whatever the record: check the connection, and ask MoEngage's support "
    "where the account is suspended or blocked"
)

#: Characters of ``error.type`` that are kept: it is a word, and stands in logs and reports.
MAX_TYPE = 100
#: Characters of MoEngage's own words that the text of an error shows.
MAX_WORDS = 200
#: Fields of a body that are named, and characters of each, where it is not what is documented.
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
class Answer:
    """
    An accepted request.

    :param body: the answer's JSON object.
    :param request_id: the id MoEngage's support asks for, where the answer has one.
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
) -> Answer | MoEngageError:
    """
    Return what an answer means: an :class:`Answer`, or the error to raise or to report.

    :param status: the HTTP status.
    :param content: the body as it came.
    :param endpoint: what was called; it says which bodies are a success.
    :param retry_after: seconds, where a header names them.
    :param sent: the body of the request, where it held rows: what repeats a word of them is not shown.
    :param secrets: texts to mask in what the answer says, as a proxy may repeat the request, header and all.
    """
    body = _json_object(content)
    if 200 <= status < 300 and body is not None and _succeeded(body, endpoint):
        return Answer(body, _request_id(body, secrets))
    error = _error(status, body)
    error_type, message = _type(error, secrets), _text(error.get("message"), secrets)
    kind, text = _meaning(status, body, error_type, secrets)
    if kind is MoEngageAuthError:
        # It is about the credentials and not about a row; which of them is wrong, MoEngage alone can say.
        text = f"MoEngage answered {status}{_words(error_type, message, sent)}: {text}"
    return kind(
        text,
        status=status,
        type=error_type,
        message=message or ("" if body else _text(content[:2000].decode("utf-8", "replace"), secrets)),
        request_id=_request_id(body or {}, secrets),
        retry_after=retry_after,
    )


def _words(error_type: str | None, message: str | None, sent: bytes) -> str:
    """Return the type and the message of an answer as they stand in the text of an error, without what is in a row."""
    words = f" {error_type}" if error_type and not quotes(error_type, sent) else ""
    if message and not quotes(message, sent):
        words += f' ("{_printable(message[:MAX_WORDS])}")'
    return words


def classify_oversized(
    status: int, endpoint: Endpoint, retry_after: float | None = None
) -> Answer | MoEngageError:
    """
    Return what an answer means that is larger than is read.

    What MoEngage refuses it refuses by the status. A success may say anything: of a call that sends it is no answer,
    and a call that reads is to ask for fewer records.
    """
    if not 200 <= status < 300:
        return classify(status, b"", endpoint, retry_after)
    says = f"MoEngage answered {status} with more than the {endpoint.max_answer_bytes:,} bytes that are read"
    if endpoint.reads:
        return MoEngagePayloadTooLarge(
            f"{says}: name fewer attributes in fields", status=status, type="answer_too_large"
        )
    return MoEngageNetworkError(
        f"{says}: is a proxy in between, or is the connection's host not MoEngage?", maybe_processed=True
    )


def _meaning(
    status: int, body: Mapping[str, Any] | None, error_type: str | None, secrets: Sequence[str]
) -> tuple[type[MoEngageError], str]:
    """Return the kind of error that an answer is, and its text; of credentials, what to do alone."""
    says = f"MoEngage answered {status}" + (f" {error_type}" if error_type else "")
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
                f"{says}: it refuses the workspace or the request, whatever the record",
            )
        return MoEngageRecordRefused, says if status == 400 else f"{says} with the status fail"
    if status == 413:
        return MoEngagePayloadTooLarge, f"{says}: the body is too large"
    if status == 429:
        return MoEngageRateLimited, f"{says}: the rate window is spent"
    if status == 408 or status >= 500:
        return MoEngageServerError, f"{says}: the server has trouble"
    if succeeded:
        return MoEngageUnexpectedAnswer, (
            f"MoEngage answered {status} with {_described(body, secrets)}, which is not documented and no success: is a proxy in "
            "between, or is the connection's host not MoEngage?"
        )
    remedy = REMEDIES.get(status, "it is not documented: check the connection's host and data_center")
    return MoEngageUnexpectedAnswer, f"{says}: {remedy}"


def _json_object(content: bytes) -> dict[str, Any] | None:
    try:
        body = from_json(content)
    except ValueError:
        return None
    return body if isinstance(body, dict) else None


def _succeeded(body: Mapping[str, Any], endpoint: Endpoint) -> bool:
    """Whether a body says what the endpoint documents as success, and no error besides."""
    return not body.get("error") and all(_word(body.get(name)) == word for name, word in endpoint.success)


def _failed(body: Mapping[str, Any] | None) -> bool:
    """Whether a body says what MoEngage documents as a failure of the record."""
    return body is not None and _word(body.get("status")) == "fail"


def _word(value: object) -> str | None:
    return value.strip().casefold() if isinstance(value, str) else None


def _described(body: Mapping[str, Any] | None, secrets: Sequence[str]) -> str:
    """Return what a body is made of: its status and the names of its fields, and no other value of it."""
    if body is None:
        return "a body that is not a JSON object"
    if not body:
        return "an empty JSON object"
    status = body.get("status")
    word = isinstance(status, str) and re.fullmatch(r"[A-Za-z_-]{1,40}", status.strip())
    if not word and status not in (None, True, False):
        status = f"of type {type(status).__name__}"
    said = f"the status {status}" if "status" in body else "no status"
    names = [_printable(_masked(name, secrets)[:MAX_FIELD]) for name in list(body)[:MAX_FIELDS]]
    more = ", …" if len(body) > MAX_FIELDS else ""
    return f"a body with {said} and the fields {', '.join(names)}{more}"


def _normalized(error_type: str | None) -> str:
    """Return an ``error.type`` without what editions spell differently: case, blanks, a full stop at its end."""
    return " ".join((error_type or "").casefold().split()).rstrip(". ")


def _error(status: int, body: Mapping[str, Any] | None) -> Mapping[str, Any]:
    """Find what is said of the error: under ``error``, or, on some endpoints, at the top."""
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
        # Only there is such a text documented, as "IP Validation Required"; elsewhere it may quote a record.
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
    """Return ``error.type`` as one line that can stand in a log."""
    text = _text(error.get("type"), secrets)
    return text and _printable(text[:MAX_TYPE])


def _printable(text: str) -> str:
    return "".join(one if one.isprintable() else " " for one in text)


def _text(value: object, secrets: Sequence[str]) -> str | None:
    if value is None or isinstance(value, (dict, list)):
        return None
    return _masked(str(value), secrets)[:MAX_TEXT]


def _masked(text: str, secrets: Sequence[str]) -> str:
    """Return a text without secrets; to be called before it is cut, which would leave a part of one."""
    for secret in secrets:
        text = text.replace(secret, "***")
    return text
