"""Get User: converts rows to identifiers of users to read back."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar, Literal

from pydantic_core import to_json

from airflow_provider_moengage.api.errors import (
    MoEngageError,
    MoEngageParameterError,
    MoEngageRecordInvalid,
    MoEngageServerError,
)
from airflow_provider_moengage.api.http.classify import Response
from airflow_provider_moengage.delivery.batch import Batch, Form, Item
from airflow_provider_moengage.delivery.shape.id_columns import missing_id
from airflow_provider_moengage.delivery.shape.ids import is_absent, is_no_id
from airflow_provider_moengage.delivery.shape.row_forms import as_row
from airflow_provider_moengage.delivery.shape.row_warnings import RowWarnings
from airflow_provider_moengage.delivery.shape.source_columns import check_has_column, id_of_row
from airflow_provider_moengage.operations.user_outputs import Sink
from airflow_provider_moengage.parameters import check_column
from airflow_provider_moengage.records.reasons import in_column
from airflow_provider_moengage.records.users import Identifier, Terms

#: Types of an id in Get User; the last two are the same, named differently by two editions of the documentation.
IDENTIFIER_TYPES = ("customer_id", "id", "moengage_id")


#: An identifier that MoEngage does not know: its id if all are of one type, else as MoEngage lists it.
Missing = str | dict[str, str]


class IdentifierMapping:
    """
    Converts rows to identifiers of the users to read; a repeated id is requested once.

    It holds the ids of a run in memory, about 100 bytes each.

    :param id_column: the column that identifies the user; a row may be a bare id.
    :param identifier_type: ``customer_id``, or ``id`` for the MoEngage id, or ``moengage_id``, its name in another
        edition of the documentation.
    :param fields: the attributes to read; None: all that can be exported.
    :param identifier_type_column: the column that holds the type of a row's id, instead of ``identifier_type``. One id
        with two types is two identifiers.
    :raises MoEngageParameterError: a parameter is not allowed; the text names it and what is allowed.
    """

    remembers: ClassVar[bool] = False

    def __init__(
        self,
        id_column: str = "customer_id",
        identifier_type: Literal["customer_id", "id", "moengage_id"] = "customer_id",
        fields: Sequence[str] | None = None,
        identifier_type_column: str | None = None,
    ) -> None:
        check_column("id_column", id_column)
        if identifier_type not in IDENTIFIER_TYPES:
            raise MoEngageParameterError(
                f"identifier_type is {identifier_type!r}; use one of 'customer_id', 'id' and 'moengage_id'"
            )
        if identifier_type_column is not None:
            check_column("identifier_type_column", identifier_type_column)
            if identifier_type != "customer_id":
                raise MoEngageParameterError(
                    "identifier_type and identifier_type_column are given; use one of them"
                )
        good = fields is None or (
            isinstance(fields, (list, tuple)) and fields and all(isinstance(name, str) for name in fields)
        )
        if not good:
            raise MoEngageParameterError(f"fields is {fields!r}; use a list of attribute names")
        self._id_column = id_column
        self._identifier_type = identifier_type
        self._type_column = identifier_type_column
        wanted = b',"user_fields_to_export":' + to_json(list(fields)) if fields else b""
        self._form = Form({"get_users": 1}, b'{"data":{"identifiers":[', b"]" + wanted + b"}}")
        self._requested: dict[str, str] = {}

    def check_columns(self, columns: Sequence[str]) -> None:
        """Check a source's columns; see :class:`~airflow_provider_moengage.delivery.operation.RowMapping`."""
        check_has_column(columns, self._id_column, "id_column")
        if self._type_column is not None:
            check_has_column(columns, self._type_column, "identifier_type_column")

    def item(self, row: object, warnings: RowWarnings) -> Item:
        """Return the item of a row; its content is empty if its id was requested before."""
        kind = self._kind_of(row)
        identifier, called = id_of_row(row, self._id_column, warnings, kind)
        record = Identifier.check(
            {"identifier_type": kind, "identifier": identifier}, Terms(names={"identifier": called})
        )
        whose = record.identifier if self._type_column is None else f"{kind}={record.identifier}"
        if whose in self._requested:
            # Reuse the first one's text, so that repetitions cost no memory.
            return (b"", self._requested[whose], self._form)
        content = record.to_json()
        self._requested[whose] = whose
        return (content, whose, self._form)

    def repeated_row(self, user: str) -> dict[str, str]:
        """Return a row that requests a user of :meth:`item` again."""
        if self._type_column is None:
            return {self._id_column: user}
        kind, _, identifier = user.partition("=")
        return {self._type_column: kind, self._id_column: identifier}

    def missing(self, identifier: Mapping[str, Any]) -> Missing:
        """Return what is reported of an identifier that MoEngage lists as not found."""
        if self._type_column is None:
            return str(identifier.get("identifier"))
        return {name: str(identifier.get(name)) for name in ("identifier_type", "identifier")}

    def _kind_of(self, row: object) -> str:
        if self._type_column is None:
            return self._identifier_type
        row = as_row(row)
        if is_no_id(row.get(self._id_column)):
            raise missing_id(row, self._id_column, in_column("the id", self._id_column))
        kind = row.get(self._type_column)
        called = in_column("identifier_type", self._type_column)
        if is_absent(kind):
            raise MoEngageRecordInvalid("identifier_type", f"{called} is missing")
        if not isinstance(kind, str) or kind not in IDENTIFIER_TYPES:
            raise MoEngageRecordInvalid(
                "identifier_type", f"{called} must be one of {', '.join(IDENTIFIER_TYPES)}"
            )
        return str.__str__(kind)


class UsersRead:
    """
    Collects the responses of Get User.

    :param sink: receives the users.
    :param missing: returns what is reported of an identifier that MoEngage does not know.
    """

    def __init__(self, sink: Sink, missing: Callable[[dict[str, Any]], Missing]) -> None:
        self._sink = sink
        self._missing = missing
        self.found = 0
        self.not_found: list[Missing] = []

    def verify(self, batch: Batch, answer: Response) -> MoEngageError | None:
        """Return an error if a response does not account for every user; their order does not matter."""
        data = answer.body.get("data")
        accounted = len(_objects_of(data, "users")) + len(_objects_of(data, "users_not_found"))
        if accounted == len(batch):
            return None
        return MoEngageServerError(
            f"MoEngage accounted for {accounted} of {len(batch)} requested users",
            request_id=answer.request_id,
        )

    def receive(self, batch: Batch, answer: Response) -> None:
        """Collect the users of one response."""
        data = answer.body.get("data")
        users = _objects_of(data, "users")
        missing = _objects_of(data, "users_not_found")
        self._sink.add([user.get("user_attributes") or {} for user in users])
        self.found += len(users)
        self.not_found.extend(map(self._missing, missing))


def _objects_of(data: Any, name: str) -> list[dict[str, Any]]:
    listed = data.get(name) if isinstance(data, dict) else None
    return [one for one in listed if isinstance(one, dict)] if isinstance(listed, list) else []
