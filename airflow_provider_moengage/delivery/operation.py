"""What an operation is to the engine: how a row becomes a record, and what its responses mean."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import ClassVar, Protocol

from airflow_provider_moengage.api.endpoints import Endpoint
from airflow_provider_moengage.api.errors import (
    MoEngageError,
    MoEngageRecordRefused,
)
from airflow_provider_moengage.api.http.classify import Response
from airflow_provider_moengage.delivery.batch import Batch, Item
from airflow_provider_moengage.delivery.shape.row_warnings import Watch


def never(error: MoEngageError) -> bool:
    """Forgive nothing."""
    return False


def no_doubt(batch: Batch, answer: Response) -> MoEngageError | None:
    """Believe every answer that says success."""
    return None


def is_not_found(error: MoEngageError) -> bool:
    """Whether MoEngage says that there is no such user."""
    return isinstance(error, MoEngageRecordRefused) and (error.type or "").strip().casefold() == "not found"


@dataclass(frozen=True)
class Operation:
    """
    One way to use an endpoint.

    :param endpoint: where to.
    :param repeatable: whether a request may be sent again when no answer came, though MoEngage may have taken it.
    :param forgives: refusals that count as done, and as ``missing`` in the report.
    :param doubts: tells what is wrong with an answer that says success.
    :param receive: takes each answer, in the task's own thread.
    :param repeated_row: makes a row of the user of one that asked for what an earlier one had asked for; only that is
        remembered of it.
    """

    endpoint: Endpoint
    repeatable: bool = True
    forgives: Callable[[MoEngageError], bool] = never
    doubts: Callable[[Batch, Response], MoEngageError | None] = no_doubt
    receive: Callable[[Batch, Response], None] | None = None
    repeated_row: Callable[[str], object] = str


class RowMapping(Protocol):
    """How the rows of one operation become what is sent."""

    #: Whether a row may become something else after other rows: a later try has to look at those too.
    remembers: ClassVar[bool]

    def check_columns(self, columns: Sequence[str]) -> None:
        """
        Say once, before the first row is sent, what is wrong with a source's columns.

        :raises MoEngageParameterError: a column is missing, stands twice or has a name that MoEngage does not take.
        """
        ...

    def item(self, row: object, watch: Watch) -> Item:
        """
        Give what is sent of one row; its content is empty where an earlier row asks for the same.

        :param watch: shown what is about to be sent of a user.
        :raises MoEngageRecordInvalid: the row must not be sent; the reason says why.
        """
        ...
