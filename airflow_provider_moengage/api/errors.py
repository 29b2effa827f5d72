"""
What MoEngage, the network and the documented rules can say, as one tree.

::

    MoEngageError
    ├── MoEngageParameterError        a parameter or a connection's field is wrong (also a ValueError)
    ├── MoEngageRecordInvalid         a record breaks a documented rule; it was not sent
    ├── MoEngageStopped               the run was told to stop before the request was sent
    │   └── MoEngageWindowSpent       the rate window is spent, and its reset is further off than one will wait
    ├── MoEngageStagedRowsDamaged     staged rows are not what was written
    ├── MoEngageUnreadableValue       the database's driver cannot hand over a value
    ├── MoEngageUnsafeRestart         events may have been sent by an earlier try that cannot be gone on from
    ├── MoEngageRetryableError        worth trying again
    │   ├── MoEngageNetworkError      no answer came
    │   ├── MoEngageServerError       408, 5xx
    │   ├── MoEngageRateLimited       429; raised after five whole windows without one unit granted
    │   ├── MoEngageStorageError      the place of the checkpoint or of the staged rows does not answer
    │   ├── MoEngageConnectionUnavailable  a secrets backend that may have an Airflow connection failed
    │   └── MoEngageFileUnreadable    a file of rows cannot be read on
    ├── MoEngageRecordRefused         400: this record, not the next
    │   └── MoEngagePayloadTooLarge   413
    └── MoEngageRequestRefused        no record would fare better: the run stops
        ├── MoEngageAuthError         401, 403, 409: credentials, account, allow-list
        └── MoEngageUnexpectedAnswer  3xx, 404, 415 and whatever else is not documented

Texts that came over the wire are capped at :data:`MAX_TEXT` characters and hold no key: a request is never
quoted, only an answer.
"""

from __future__ import annotations

from typing import Any

MAX_TEXT = 500


class MoEngageError(Exception):
    """
    Anything this package raises.

    :param text: what happened, and what to do about it.
    :param status: the HTTP status, where there was an answer.
    :param type: ``error.type`` of the answer, as MoEngage spells it.
    :param message: ``error.message`` of the answer, or the start of a body that is not JSON; it may quote
        what was sent, so it belongs into files of refused rows and not into logs.
    :param request_id: the id MoEngage's support asks for.
    :param retry_after: seconds until a repetition makes sense, where the answer says so: its ``Retry-After``, or,
        once the request is given up, the published reset of its rate window.
    """

    retryable = False

    def __init__(
        self,
        text: str,
        *,
        status: int | None = None,
        type: str | None = None,
        message: str | None = None,
        request_id: str | None = None,
        retry_after: float | None = None,
    ) -> None:
        super().__init__(text)
        self.status = status
        self.type = type[:MAX_TEXT] if type else None
        self.message = message[:MAX_TEXT] if message else None
        self.request_id = request_id
        self.retry_after = retry_after

    def __reduce__(self) -> tuple[Any, ...]:
        # Exceptions are rebuilt from their text alone, which is not what the constructors here take.
        return _rebuilt, (self.__class__, self.args, self.__dict__)


def _rebuilt(kind: type[MoEngageError], args: tuple[Any, ...], fields: dict[str, Any]) -> MoEngageError:
    error = kind.__new__(kind, *args)
    error.__dict__.update(fields)
    return error


class MoEngageParameterError(MoEngageError, ValueError):
    """A parameter or a field of the connection is wrong; the text names it and what is allowed."""


class MoEngageRecordInvalid(MoEngageError):
    """
    A row that must not be sent, because MoEngage would drop or bend it, or refuse it.

    :param code: the rule, in one stable word, such as ``blocked_customer_id``.
    :param reason: the rule, the attribute and the value's type; never the value.
    """

    def __init__(self, code: str, reason: str) -> None:
        super().__init__(reason, type=code)
        self.code = code
        self.reason = reason


class MoEngageStopped(MoEngageError):
    """The run was told to stop while this request waited for its turn; it was not sent."""


class MoEngageWindowSpent(MoEngageStopped):
    """
    The rate window is spent; :attr:`retry_after` says when it resets. The request was not sent.

    :attr:`progress` says how far the run was which it ended, such as ``20 % (300 of 1,500), about 80 s to go``.
    """

    progress = ""


class MoEngageStagedRowsDamaged(MoEngageError):
    """Staged rows are missing or are not what was written; no retry brings them back."""


class MoEngageUnreadableValue(MoEngageError):
    """A query gives a value that the database's driver has no place for in Python; every retry would meet it again."""


class MoEngageUnsafeRestart(MoEngageError):
    """Events may have been sent by an earlier try that cannot be gone on from; sent again, they are there twice."""


class MoEngageRetryableError(MoEngageError):
    """What may pass by itself."""

    retryable = True


class MoEngageNetworkError(MoEngageRetryableError):
    """
    No answer came.

    :param maybe_processed: False where the connection was never made, so that MoEngage cannot have seen the
        request.
    :param summary: what happened, without what to do about it; None: the text.
    """

    def __init__(self, text: str, *, maybe_processed: bool, summary: str | None = None) -> None:
        super().__init__(text)
        self.maybe_processed = maybe_processed
        self.summary = summary or text


class MoEngageServerError(MoEngageRetryableError):
    """MoEngage answered 408 or 5xx."""


class MoEngageRateLimited(MoEngageRetryableError):
    """MoEngage answered 429."""


class MoEngageStorageError(MoEngageRetryableError):
    """The place where a checkpoint or staged rows are kept does not answer."""


class MoEngageConnectionUnavailable(MoEngageRetryableError):
    """An Airflow connection was not found, and a secrets backend that may have it failed."""


class MoEngageFileUnreadable(MoEngageRetryableError):
    """A file of rows cannot be opened or read on; the text names it. Perhaps it is still being written."""


class MoEngageRecordRefused(MoEngageError):
    """MoEngage refused this record; others may pass."""


class MoEngagePayloadTooLarge(MoEngageRecordRefused):
    """MoEngage answered 413: the body is over the endpoint's size."""


class MoEngageRequestRefused(MoEngageError):
    """MoEngage refused the request whatever the record: sending more would not help."""


class MoEngageAuthError(MoEngageRequestRefused):
    """The credentials, the account or the IP allow-list: 401, 403, 409."""


class MoEngageUnexpectedAnswer(MoEngageRequestRefused):
    """An answer that MoEngage does not document."""
