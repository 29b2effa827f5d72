"""The responses of the API, with the documented bodies and error types."""

from __future__ import annotations

import json
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

JSON = b"application/json"

#: The documented error type and message of each status code; other codes use their HTTP phrase.
DOCUMENTED = {
    400: ("MissingAttributeError", "customer_id is expected to be string"),
    401: ("Authentication required", "APP_KEY and APP_SECRET do not match"),
    403: ("Account Suspended", "Your account is suspended"),
    409: ("Authentication Mismatch", "The app_id of the URL is not the one of the Authorization header"),
    413: ("Payload too large", "The payload can not exceed 128KB"),
    415: ("Unsupported Media Type", "The Content-Type is expected to be application/json"),
    429: ("Rate Limit Exceeded", "Rate Limits for User / Event exceeded"),
}

#: The error type whose body has a different shape.
IP_VALIDATION = "IP Validation Required"


@dataclass(frozen=True)
class Response:
    """An HTTP response."""

    status: int
    body: bytes
    content_type: bytes = JSON


class Refused(Exception):
    """The request gets an error response."""

    def __init__(
        self, status: int, type_: str | None = None, message: str | None = None, attribute: str | None = None
    ) -> None:
        documented_type, documented_message = documented(status)
        self.status = status
        self.type = type_ or documented_type
        self.message = message or documented_message
        self.attribute = attribute
        super().__init__(self.message)

    def response(
        self, request_id: str, status: int | None = None, *, titled: bool = False, word: str = "fail"
    ) -> Response:
        """
        Return the documented error body.

        :param status: overrides the status code; the body stays the same.
        :param titled: whether the endpoint's 429 and 5xx have a title and a description.
        :param word: the ``status`` in the body.
        """
        titled = titled and (self.status == 429 or self.status >= 500)
        status = self.status if status is None else status
        if titled:
            return succeeded({"status": "fail", "title": self.type, "description": self.message}, status)
        if self.type == IP_VALIDATION:
            return succeeded({"error": self.type, "message": self.message}, status)
        error: dict[str, Any] = {"message": self.message, "type": self.type, "request_id": request_id}
        if self.attribute is not None:
            error["attribute"] = self.attribute
        return succeeded({"status": word, "error": error}, status)


def documented(status: int) -> tuple[str, str]:
    """Return the default error type and message of a status code."""
    if status in DOCUMENTED:
        return DOCUMENTED[status]
    phrase = phrase_of(status)
    return phrase, phrase


def phrase_of(status: int) -> str:
    """Return the HTTP phrase of a status code."""
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return f"Status {status}"


def succeeded(document: dict[str, Any], status: int = 200) -> Response:
    """Return a JSON object as a response."""
    return Response(status, json.dumps(document).encode())


def accepted(request_id: str) -> Response:
    """Return the response to an accepted request; MoEngage reports nothing about its processing."""
    return succeeded(
        {
            "status": "success",
            "message": "Your request has been accepted and will be processed soon.",
            "request_id": request_id,
        }
    )


def missing(attribute: str) -> Refused:
    """Return the documented 400 for a missing attribute."""
    return Refused(400, "MissingAttributeError", f"{attribute} is not found in the payload", attribute)


def empty(attribute: str) -> Refused:
    """Return the documented 400 for an empty string."""
    return Refused(400, "MissingAttributeError", f"{attribute} can not be empty Unicode String", attribute)


def text_in(document: dict[str, Any], name: str) -> str:
    """Return a required, non-blank string; raise the documented errors."""
    if name not in document:
        raise missing(name)
    value = document[name]
    if not isinstance(value, str):
        raise expected(name, "string")
    if not value or value.isspace():
        raise empty(name)
    return value


def expected(attribute: str, datatype: str) -> Refused:
    """Return the documented 400 for an attribute that is missing or of the wrong type."""
    return Refused(400, "MissingAttributeError", f"{attribute} is expected to be {datatype}", attribute)
