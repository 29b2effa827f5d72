"""
The exceptions of the package, as one tree.

::

    MoEngageError
    ├── MoEngageParameterError        a parameter or a connection field is wrong (also a ValueError)
    ├── MoEngageRecordInvalid         a record breaks a documented rule; it was not sent
    ├── MoEngageStopped               the run was cancelled before the request was sent
    │   └── MoEngageWindowSpent       the rate window is spent, and its reset is later than the maximum wait
    ├── MoEngageStagedRowsDamaged     staged rows are missing or differ from what was written
    ├── MoEngageSampleDamaged         the sample of users that were sent is damaged, or of another origin
    ├── MoEngageUnreadableValue       the database driver cannot return a value
    ├── MoEngageUnsafeRestart         an earlier attempt may have sent events and cannot be resumed
    ├── MoEngageRetryableError        a retry may succeed
    │   ├── MoEngageNetworkError      no response came
    │   ├── MoEngageServerError       408, 5xx
    │   ├── MoEngageRateLimited       429; raised after five whole windows without one unit granted
    │   ├── MoEngageStorageError      the storage of checkpoints or staged rows does not respond
    │   ├── MoEngageConnectionUnavailable  a secrets backend that may have an Airflow connection failed
    │   └── MoEngageFileUnreadable    a file of rows cannot be read
    ├── MoEngageRecordRefused         400: this record, not the next
    │   └── MoEngagePayloadTooLarge   413
    └── MoEngageRequestRefused        no other record would be accepted: the run stops
        ├── MoEngageAuthError         401, 403, 409: credentials, account, allow-list
        └── MoEngageUnexpectedAnswer  3xx, 404, 415 and anything undocumented

Texts received over the wire are capped at :data:`MAX_TEXT` characters and contain no key: only responses are quoted,
never requests.
"""

from __future__ import annotations

from typing import Any

MAX_TEXT = 500


class MoEngageError(Exception):
    """
    The base of all exceptions of this package.

    :param text: what happened, and how to fix it.
    :param status: the HTTP status, if there was a response.
    :param type: ``error.type`` of the response, as MoEngage spells it.
    :param message: ``error.message`` of the response, or the start of a body that is not JSON. It may quote what was
        sent, so it belongs in files of rejected rows and not in logs.
    :param request_id: the id that MoEngage's support asks for.
    :param retry_after: seconds after which to retry, if known: the ``Retry-After`` of the response, or, once the client
        has given up, the published reset of the rate window.
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
        # The default rebuilds an exception from its text alone, which these constructors do not accept.
        return _rebuilt, (self.__class__, self.args, self.__dict__)


def _rebuilt(kind: type[MoEngageError], args: tuple[Any, ...], fields: dict[str, Any]) -> MoEngageError:
    error = kind.__new__(kind, *args)
    error.__dict__.update(fields)
    return error


class MoEngageParameterError(MoEngageError, ValueError):
    """A parameter or a connection field is wrong; the text names it and the allowed values."""


class MoEngageRecordInvalid(MoEngageError):
    """
    A row that must not be sent, because MoEngage would reject it, or drop or alter values silently.

    :param code: the rule, as one stable word, such as ``blocked_customer_id``.
    :param reason: the rule, the attribute and the value's type; never the value.
    """

    def __init__(self, code: str, reason: str) -> None:
        super().__init__(reason, type=code)
        self.code = code
        self.reason = reason


class MoEngageStopped(MoEngageError):
    """The run was cancelled while this request was waiting; it was not sent."""


class MoEngageWindowSpent(MoEngageStopped):
    """
    The rate window is spent and resets in :attr:`retry_after` seconds. The request was not sent.

    :attr:`progress` describes how far the run got, such as ``20 % (300 of 1,500), about 80 s to go``.
    """

    progress = ""


class MoEngageStagedRowsDamaged(MoEngageError):
    """Staged rows are missing or differ from what was written; a retry does not restore them."""


class MoEngageSampleDamaged(MoEngageError):
    """The sample of users that were sent is damaged, or of another origin; the task that wrote it can write it again."""


class MoEngageUnreadableValue(MoEngageError):
    """A query returns a value that the database driver cannot represent in Python; so would every retry."""


class MoEngageUnsafeRestart(MoEngageError):
    """An earlier attempt may have sent events and cannot be resumed; resending would duplicate them."""


class MoEngageRetryableError(MoEngageError):
    """An error that a retry may resolve."""

    retryable = True


class MoEngageNetworkError(MoEngageRetryableError):
    """
    No response came.

    :param maybe_processed: whether MoEngage may have received the request; False if no connection was made.
    :param summary: what happened, without how to fix it; None: the text.
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
    """The storage of checkpoints or staged rows does not respond."""


class MoEngageConnectionUnavailable(MoEngageRetryableError):
    """An Airflow connection was not found, and a secrets backend that may have it failed."""


class MoEngageFileUnreadable(MoEngageRetryableError):
    """A file of rows, named in the text, cannot be opened or read; it may still be being written."""


class MoEngageRecordRefused(MoEngageError):
    """MoEngage rejected this record; others may be accepted."""


class MoEngagePayloadTooLarge(MoEngageRecordRefused):
    """MoEngage answered 413: the body exceeds the endpoint's maximum size."""


class MoEngageRequestRefused(MoEngageError):
    """MoEngage rejected the request regardless of the record: sending more would not help."""


class MoEngageAuthError(MoEngageRequestRefused):
    """MoEngage rejected the credentials, the account or the IP address: 401, 403, 409."""


class MoEngageUnexpectedAnswer(MoEngageRequestRefused):
    """A response that MoEngage does not document."""
