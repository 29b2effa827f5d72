"""The interface of an operation: how a row becomes a record, and what its responses mean."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import ClassVar, Protocol

from airflow_provider_moengage.api.endpoints import Endpoint
from airflow_provider_moengage.api.errors import (
    MoEngageError,
    MoEngageRecordRefused,
)
from airflow_provider_moengage.api.http.classify import Answer
from airflow_provider_moengage.delivery.batch import Batch, Item
from airflow_provider_moengage.delivery.shape.row_warnings import RowWarnings


def never(error: MoEngageError) -> bool:
    """Return False: no error is forgiven."""
    return False


def accept_all(batch: Batch, answer: Answer) -> MoEngageError | None:
    """Return None: every successful response is accepted."""
    return None


def is_not_found(error: MoEngageError) -> bool:
    """Whether the error says that MoEngage does not know the user."""
    return isinstance(error, MoEngageRecordRefused) and (error.type or "").strip().casefold() == "not found"


@dataclass(frozen=True)
class Operation:
    """
    One way to use an endpoint.

    :param endpoint: the endpoint.
    :param repeatable: whether a request may be sent again if no response came, though MoEngage may have accepted it.
    :param forgives: whether a rejection counts as accepted, and as ``missing`` in the report.
    :param verify: returns what is wrong with a successful response; None: nothing.
    :param receive: called with each response, in the task's main thread.
    :param repeated_row: returns the row of a duplicate, given its user; only the user is kept in memory.
    """

    endpoint: Endpoint
    repeatable: bool = True
    forgives: Callable[[MoEngageError], bool] = never
    verify: Callable[[Batch, Answer], MoEngageError | None] = accept_all
    receive: Callable[[Batch, Answer], None] | None = None
    repeated_row: Callable[[str], object] = str


class RowMapping(Protocol):
    """Turns the rows of one operation into records."""

    #: Whether the record depends on earlier rows, which a later attempt then has to read again.
    remembers: ClassVar[bool]

    def check_columns(self, columns: Sequence[str]) -> None:
        """
        Check the columns of a source, once, before the first row is sent.

        :raises MoEngageParameterError: a column is missing, is duplicated or has a name that MoEngage does not accept.
        """
        ...

    def item(self, row: object, warnings: RowWarnings) -> Item:
        """
        Return one row as a record; its content is empty if it is a duplicate of an earlier row.

        :param warnings: looks at the records of users before they are sent.
        :raises MoEngageRecordInvalid: the row must not be sent; the reason says why.
        """
        ...
