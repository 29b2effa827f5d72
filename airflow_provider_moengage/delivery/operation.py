"""The interface of an operation: how a row becomes a record, and what its responses mean."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any, ClassVar, Protocol

from typing_extensions import Self

from airflow_provider_moengage.api.endpoint import Endpoint
from airflow_provider_moengage.api.errors import MoEngageError, MoEngageParameterError
from airflow_provider_moengage.api.http.classify import Response
from airflow_provider_moengage.delivery.batch import Batch, Item
from airflow_provider_moengage.delivery.shape.row_warnings import RowWarnings


class RowMapping(Protocol):
    """
    Turns the rows of one operation into records.

    It is a frozen dataclass, and the arguments of its constructor are the operator's parameters.
    """

    #: Whether the record depends on earlier rows, which a later attempt then has to read again.
    remembers: ClassVar[bool] = False

    def __reduce__(self) -> tuple[Any, ...]:
        # Airflow copies operators, and so their mappings: by the parameters, because what is derived from them has parts
        # that can be neither copied nor pickled.
        mapping: Any = self
        parameters = {one.name: getattr(self, one.name) for one in fields(mapping) if one.init}
        return _build, (type(self), parameters)

    def for_run(self) -> Self:
        """Return the mapping to use in one run: itself, or a new one if it remembers the rows of a run."""
        return self

    def check_columns(self, columns: Sequence[str]) -> None:
        """
        Check the columns of a source, once, before the first row is sent.

        :raises MoEngageParameterError: a column is missing, is duplicated or has a name that MoEngage does not accept.
        """
        ...

    def fields_from(self, columns: Sequence[str]) -> Mapping[str, str]:
        """
        Return field of a record → the column that it is read from, for rows with these columns; for lineage.

        :param columns: may be incomplete: then only the parameters say what is read from others.
        """
        return {}

    def item(self, row: object, warnings: RowWarnings) -> Item:
        """
        Return one row as it is sent; its content is empty if it is a duplicate of an earlier row.

        :param warnings: looks at the records of users before they are sent.
        :raises MoEngageRecordInvalid: the row must not be sent; the reason says why.
        """
        ...

    def repeated_row(self, user: str) -> object:
        """Return the row of a duplicate, given its user; only the user is kept in memory."""
        return user


def _build(kind: Callable[..., RowMapping], parameters: Mapping[str, Any]) -> RowMapping:
    return kind(**parameters)


class BulkMapping(RowMapping, Protocol):
    """Turns rows into records of an endpoint of their own, or into elements of Bulk Import."""

    def element(self, row: object, warnings: RowWarnings) -> Item:
        """Return one row as an element of Bulk Import; otherwise as :meth:`item`."""
        ...


class Responses:
    """
    What the responses of one run mean. This one accepts every successful response, and no error.

    :cvar receives: whether :meth:`receive` needs the responses.
    """

    receives: ClassVar[bool] = False

    def verify(self, batch: Batch, response: Response) -> MoEngageError | None:
        """Return what is wrong with a successful response; None: nothing."""
        return None

    def forgives(self, error: MoEngageError) -> bool:
        """Whether a rejection counts as accepted, and as missing."""
        return False

    def receive(self, batch: Batch, response: Response) -> None:
        """Process a response, in the task's main thread."""

    def finish(self) -> None:
        """Complete what was received, once every row is settled."""

    def discard(self) -> None:
        """Discard what was received, since the run did not complete or is not to send anything."""

    def counts(self, missing: int) -> Mapping[str, int]:
        """
        Return the operation's own counts for the report.

        :param missing: rows whose rejection was forgiven.
        """
        return {}

    def failure(self, read: int) -> str | None:
        """Return why a run that has settled all of its ``read`` rows fails nevertheless; None: it succeeds."""
        return None


@dataclass(frozen=True)
class Operation:
    """
    One operation of MoEngage: all facts of it that delivering rows depends on.

    :param name: the name of the hook's method, such as ``track_users``.
    :param rows: the parameter that accepts its rows, such as ``users``.
    :param endpoint: where requests go, the quotas that they use, and how much one of them holds.
    :param mapping: returns the mapping that its rows have by default; None: a mapping is required.
    :param responses: returns what the responses of a run mean by default; None: they have to be given.
    :param max_rows: rows that a run may have by default; more fail before the first one is sent. None: any number.
    :param idempotent: whether MoEngage may receive every row twice with the effect of one. If not, rows are written
        to the checkpoint before they are sent.
    :param bulk: where requests go instead if its rows are sent through Bulk Import; None: they cannot be.
    :param elements: whether its records are elements of Bulk Import, made by :meth:`BulkMapping.element`.
    :param identity: returns what identifies a record, given its content and its user, where a record that MoEngage has
        accepted need not be sent again; None: every record has to be sent.
    :param always_sent: why, as the end of a sentence.
    :param datasets: what of a workspace it changes or reads: ``users``, ``events``, ``devices``, ``cohorts``.
    """

    name: str
    rows: str
    endpoint: Endpoint
    mapping: Callable[[], RowMapping] | None = None
    responses: Callable[[], Responses] | None = Responses
    max_rows: int | None = None
    idempotent: bool = True
    bulk: Endpoint | None = None
    elements: bool = False
    identity: Callable[[bytes, str], str] | None = None
    always_sent: str = "it sets no state that could be compared"
    datasets: tuple[str, ...] = ("users",)

    def shape(self, mapping: Any) -> Callable[[object, RowWarnings], Item]:
        """Return the function that turns rows into records of this operation, by a mapping of it."""
        shape: Callable[[object, RowWarnings], Item] = mapping.element if self.elements else mapping.item
        return shape

    @property
    def endpoints(self) -> tuple[Endpoint, ...]:
        """Its endpoints: its own, and that of Bulk Import if its rows can be sent there."""
        return (self.endpoint,) if self.bulk is None else (self.endpoint, self.bulk)

    def in_bulk(self) -> Operation:
        """
        Return the operation through Bulk Import.

        :raises MoEngageParameterError: its rows cannot be sent there.
        """
        if self.bulk is None:
            raise MoEngageParameterError(
                f"bulk is True, but {self.name} has no form in Bulk Import; leave it out"
            )
        return replace(self, endpoint=self.bulk, elements=True)
