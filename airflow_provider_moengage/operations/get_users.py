"""Get User: converts rows to identifiers of users to read back."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar, Literal

from pydantic_core import to_json

from airflow_provider_moengage.api.endpoint import Endpoint, Quota
from airflow_provider_moengage.api.errors import (
    MoEngageError,
    MoEngageParameterError,
    MoEngageRecordInvalid,
    MoEngageServerError,
)
from airflow_provider_moengage.api.http.classify import Response
from airflow_provider_moengage.delivery.batch import Batch, Envelope, Item
from airflow_provider_moengage.delivery.operation import Operation, Responses, RowMapping
from airflow_provider_moengage.delivery.shape.id_columns import missing_id
from airflow_provider_moengage.delivery.shape.ids import is_absent, is_no_id
from airflow_provider_moengage.delivery.shape.row_forms import as_row
from airflow_provider_moengage.delivery.shape.row_warnings import RowWarnings
from airflow_provider_moengage.delivery.shape.source_columns import check_has_column, id_of_row
from airflow_provider_moengage.operations.user_outputs import Sink
from airflow_provider_moengage.parameters import ON_MISSING, check_column, check_one_of
from airflow_provider_moengage.records.reasons import in_column
from airflow_provider_moengage.records.users import Identifier, Terms

USERS_READ = Quota("get_users", 1_000)
#: The largest response body that is read of Get User: 200 KB for each of 20 users, who may have 256 attributes of 512
#: characters. A hostile response becomes 110 megabytes of Python objects.
MAX_USERS_BYTES = 4 * 1024 * 1024
#: Types of an id in Get User; the last two are the same, named differently by two editions of the documentation.
IDENTIFIER_TYPES = ("customer_id", "id", "moengage_id")
#: An identifier that MoEngage does not know: its id if all are of one type, else as MoEngage lists it.
Missing = str | dict[str, str]


@dataclass(frozen=True)
class IdentifierMapping(RowMapping):
    """
    Converts rows to identifiers of the users to read; a repeated id is requested once.

    It holds the ids of a run in memory, about 100 bytes each: :meth:`for_run` returns one that holds none yet.

    :param id_column: the column that identifies the user; a row may be a bare id.
    :param identifier_type: ``customer_id``, or ``id`` for the MoEngage id, or ``moengage_id``, its name in another
        edition of the documentation.
    :param fields: the attributes to read; None: all that can be exported.
    :param identifier_type_column: the column that holds the type of a row's id, instead of ``identifier_type``. One id
        with two types is two identifiers.
    :raises MoEngageParameterError: a parameter is not allowed; the text names it and what is allowed.
    """

    id_column: str = "customer_id"
    identifier_type: Literal["customer_id", "id", "moengage_id"] = "customer_id"
    fields: Sequence[str] | None = None
    identifier_type_column: str | None = None
    _envelope: Envelope = field(init=False, repr=False, compare=False)
    _requested: dict[str, str] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        check_column("id_column", self.id_column)
        if self.identifier_type not in IDENTIFIER_TYPES:
            raise MoEngageParameterError(
                f"identifier_type is {self.identifier_type!r}; use one of 'customer_id', 'id' and 'moengage_id'"
            )
        if self.identifier_type_column is not None:
            check_column("identifier_type_column", self.identifier_type_column)
            if self.identifier_type != "customer_id":
                raise MoEngageParameterError(
                    "identifier_type and identifier_type_column are given; use one of them"
                )
        names: object = self.fields
        good = names is None or (
            isinstance(names, (list, tuple)) and names and all(isinstance(name, str) for name in names)
        )
        if not good:
            raise MoEngageParameterError(f"fields is {names!r}; use a list of attribute names")
        wanted = b',"user_fields_to_export":' + to_json(list(self.fields)) if self.fields else b""
        envelope = Envelope({USERS_READ: 1}, b'{"data":{"identifiers":[', b"]" + wanted + b"}}")
        object.__setattr__(self, "_envelope", envelope)
        object.__setattr__(self, "_requested", {})

    def for_run(self) -> IdentifierMapping:
        """Return a mapping with the same parameters that holds no id."""
        return replace(self)

    def check_columns(self, columns: Sequence[str]) -> None:
        """Check a source's columns; see :class:`~airflow_provider_moengage.delivery.operation.RowMapping`."""
        check_has_column(columns, self.id_column, "id_column")
        if self.identifier_type_column is not None:
            check_has_column(columns, self.identifier_type_column, "identifier_type_column")

    def item(self, row: object, warnings: RowWarnings) -> Item:
        """Return the item of a row; its content is empty if its id was requested before."""
        kind = self._kind_of(row)
        identifier, called = id_of_row(row, self.id_column, warnings, kind)
        record = Identifier.check(
            {"identifier_type": kind, "identifier": identifier}, Terms(names={"identifier": called})
        )
        whose = record.identifier if self.identifier_type_column is None else f"{kind}={record.identifier}"
        if whose in self._requested:
            # Reuse the first one's text, so that repetitions cost no memory.
            return (b"", self._requested[whose], self._envelope)
        content = record.to_json()
        self._requested[whose] = whose
        return (content, whose, self._envelope)

    def repeated_row(self, user: str) -> dict[str, str]:
        """Return a row that requests a user of :meth:`item` again."""
        if self.identifier_type_column is None:
            return {self.id_column: user}
        kind, _, identifier = user.partition("=")
        return {self.identifier_type_column: kind, self.id_column: identifier}

    def missing(self, identifier: Mapping[str, Any]) -> Missing:
        """Return what is reported of an identifier that MoEngage lists as not found."""
        if self.identifier_type_column is None:
            return str(identifier.get("identifier"))
        return {name: str(identifier.get(name)) for name in ("identifier_type", "identifier")}

    def _kind_of(self, row: object) -> str:
        if self.identifier_type_column is None:
            return self.identifier_type
        row = as_row(row)
        if is_no_id(row.get(self.id_column)):
            raise missing_id(row, self.id_column, in_column("the id", self.id_column))
        kind = row.get(self.identifier_type_column)
        called = in_column("identifier_type", self.identifier_type_column)
        if is_absent(kind):
            raise MoEngageRecordInvalid("identifier_type", f"{called} is missing")
        if not isinstance(kind, str) or kind not in IDENTIFIER_TYPES:
            raise MoEngageRecordInvalid(
                "identifier_type", f"{called} must be one of {', '.join(IDENTIFIER_TYPES)}"
            )
        return str.__str__(kind)


class UsersRead(Responses):
    """
    The responses of Get User.

    :param sink: receives the users.
    :param missing: returns what is reported of an identifier that MoEngage does not know.
    :param on_missing: ``fail``: users that MoEngage does not know fail the task, once all others are read.
    :param on_missing_ids: called with what is reported of them, once every user is settled.
    :raises MoEngageParameterError: ``on_missing`` is neither ``ignore`` nor ``fail``.
    """

    receives: ClassVar[bool] = True

    def __init__(
        self,
        sink: Sink,
        missing: Callable[[Mapping[str, Any]], Missing],
        on_missing: Literal["ignore", "fail"] = "ignore",
        on_missing_ids: Callable[[list[Missing]], None] | None = None,
    ) -> None:
        check_one_of("on_missing", on_missing, ON_MISSING)
        self._sink = sink
        self._missing = missing
        self._fails = on_missing == "fail"
        self._on_missing_ids = on_missing_ids
        self.found = 0
        self.not_found: list[Missing] = []

    def verify(self, batch: Batch, response: Response) -> MoEngageError | None:
        """Return an error if a response does not account for every user; their order does not matter."""
        data = response.body.get("data")
        accounted = len(_objects_of(data, "users")) + len(_objects_of(data, "users_not_found"))
        if accounted == len(batch):
            return None
        return MoEngageServerError(
            f"MoEngage accounted for {accounted} of {len(batch)} requested users",
            request_id=response.request_id,
        )

    def receive(self, batch: Batch, response: Response) -> None:
        """Collect the users of one response."""
        data = response.body.get("data")
        users = _objects_of(data, "users")
        missing = _objects_of(data, "users_not_found")
        self._sink.add([user.get("user_attributes") or {} for user in users])
        self.found += len(users)
        self.not_found.extend(map(self._missing, missing))

    def finish(self) -> None:
        """Publish the users."""
        try:
            self._sink.finish()
            if self._on_missing_ids is not None:
                self._on_missing_ids(self.not_found)
        except Exception:
            self._sink.discard()
            raise

    def discard(self) -> None:
        """Discard the users."""
        self._sink.discard()

    def counts(self, missing: int) -> Mapping[str, int]:
        """Return the users that were read, and those that MoEngage does not know."""
        return {"found": self.found, "not_found": len(self.not_found)}

    def failure(self, read: int) -> str | None:
        """Return a sentence if users that MoEngage does not know fail the task."""
        if not self.not_found or not self._fails:
            return None
        return f"MoEngage does not know {len(self.not_found)} of {read} users, and on_missing is 'fail'" + (
            "; the others were read" if self.found else ""
        )


def _objects_of(data: Any, name: str) -> list[dict[str, Any]]:
    listed = data.get(name) if isinstance(data, dict) else None
    return [one for one in listed if isinstance(one, dict)] if isinstance(listed, list) else []


GET_USERS = Operation(
    "get_users",
    "users",
    Endpoint(
        "Get User",
        "/customers/export",
        "query",
        max_records=20,
        max_response_bytes=MAX_USERS_BYTES,
        reads=True,
        quotas=(USERS_READ,),
    ),
    mapping=IdentifierMapping,
    responses=None,
    always_sent="it reads users and sends nothing",
)
