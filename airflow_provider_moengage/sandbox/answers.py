"""The answers of the API: the documented bodies and error types."""

from __future__ import annotations

import json
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

JSON = b"application/json"

#: The documented error type and message of a status code; other codes use their HTTP phrase.
DOCUMENTED = {
    400: ("MissingAttributeError", "customer_id is expected to be string"),
    401: ("Authentication required", "APP_KEY and APP_SECRET do not match"),
    403: ("Account Suspended", "Your account is suspended"),
    409: ("Authentication Mismatch", "The app_id of the URL is not the one of the Authorization header"),
    413: ("Payload too large", "The payload can not exceed 128KB"),
    415: ("Unsupported Media Type", "The Content-Type is expected to be application/json"),
    429: ("Rate Limit Exceeded", "Rate Limits for User / Event exceeded"),
}

#: An error that has a body of another shape.
IP_VALIDATION = "IP Validation Required"


@dataclass(frozen=True)
class Answer:
    """An HTTP response."""

    status: int
    body: bytes
    content_type: bytes = JSON


class Refused(Exception):
    """A call is answered with an error."""

    def __init__(
        self, status: int, type_: str | None = None, message: str | None = None, attribute: str | None = None
    ) -> None:
        documented_type, documented_message = documented(status)
        self.status = status
        self.type = type_ or documented_type
        self.message = message or documented_message
        self.attribute = attribute
        super().__init__(self.message)

    def answer(
        self, request_id: str, status: int | None = None, *, titled: bool = False, word: str = "fail"
    ) -> Answer:
        """
        Return the documented error body.

        :param status: puts another status line above it.
        :param titled: of an endpoint whose 429 and 5xx have a title and a description.
        :param word: what the body calls its own status.
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
    """Give the error type and message that a status code has by default."""
    if status in DOCUMENTED:
        return DOCUMENTED[status]
    phrase = phrase_of(status)
    return phrase, phrase


def phrase_of(status: int) -> str:
    """Give the HTTP phrase of a status code."""
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return f"Status {status}"


def succeeded(document: dict[str, Any], status: int = 200) -> Answer:
    """Give a JSON object as an answer."""
    return Answer(status, json.dumps(document).encode())


def accepted(request_id: str) -> Answer:
    """Say that a call is taken; MoEngage never says more about what became of it."""
    return succeeded(
        {
            "status": "success",
            "message": "Your request has been accepted and will be processed soon.",
            "request_id": request_id,
        }
    )


def missing(attribute: str) -> Refused:
    """Say that something is missing: a documented 400."""
    return Refused(400, "MissingAttributeError", f"{attribute} is not found in the payload", attribute)


def empty(attribute: str) -> Refused:
    """Return the documented 400 of a text without a character."""
    return Refused(400, "MissingAttributeError", f"{attribute} can not be empty Unicode String", attribute)


def text_in(document: dict[str, Any], name: str) -> str:
    """Return a string that must be there and hold more than blanks; the errors are those that MoEngage documents."""
    if name not in document:
        raise missing(name)
    value = document[name]
    if not isinstance(value, str):
        raise expected(name, "string")
    if not value or value.isspace():
        raise empty(name)
    return value


def expected(attribute: str, datatype: str) -> Refused:
    """Say that something is missing or of another type: a documented 400."""
    return Refused(400, "MissingAttributeError", f"{attribute} is expected to be {datatype}", attribute)
