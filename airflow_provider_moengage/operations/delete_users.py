"""Delete User: converts rows to users to delete permanently."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from airflow_provider_moengage.api.endpoint import Endpoint, Quota
from airflow_provider_moengage.api.errors import MoEngageError, MoEngageRecordRefused
from airflow_provider_moengage.delivery.batch import Envelope, Item
from airflow_provider_moengage.delivery.operation import Operation, Responses, RowMapping
from airflow_provider_moengage.delivery.shape.row_warnings import RowWarnings
from airflow_provider_moengage.delivery.shape.source_columns import check_has_column, id_of_row
from airflow_provider_moengage.parameters import ON_MISSING, check_column, check_one_of
from airflow_provider_moengage.records.users import Deletion, Terms

#: Users that one run deletes at most unless it is told otherwise: a deletion cannot be undone.
DEFAULT_MAX_USERS = 1_000
USERS_DELETED = Quota("delete_users", 5_000)
DELETION = Envelope({USERS_DELETED: 1})


@dataclass(frozen=True)
class DeletionMapping(RowMapping):
    """
    Converts rows to deletions of users.

    :param id_column: the column that identifies the user; a row may be a bare id.
    :param identity_type: ``customer_id`` or ``moengage_id``.
    :raises MoEngageParameterError: a parameter is not allowed; the text names it and what is allowed.
    """

    id_column: str = "customer_id"
    identity_type: Literal["customer_id", "moengage_id"] = "customer_id"

    def __post_init__(self) -> None:
        check_column("id_column", self.id_column)
        check_one_of("identity_type", self.identity_type, ("customer_id", "moengage_id"))

    def check_columns(self, columns: Sequence[str]) -> None:
        """Check a source's columns; see :class:`~airflow_provider_moengage.delivery.operation.RowMapping`."""
        check_has_column(columns, self.id_column, "id_column")

    def fields_from(self, columns: Sequence[str]) -> Mapping[str, str]:
        """Return field → column; see :class:`~airflow_provider_moengage.delivery.operation.RowMapping`."""
        return {"customer_id": self.id_column}

    def item(self, row: object, warnings: RowWarnings) -> Item:
        """Return the item of a row; see :class:`~airflow_provider_moengage.delivery.operation.RowMapping`."""
        identity, called = id_of_row(row, self.id_column, warnings, self.identity_type)
        record = Deletion.check(
            {"identity_type": self.identity_type, "identity_value": identity},
            Terms(names={"identity_value": called}),
        )
        return (record.to_json(), record.identity_value, DELETION)


class DeletionResponses(Responses):
    """
    The responses of Delete User.

    :param on_missing: ``ignore`` counts users that MoEngage does not know as accepted, and as missing; ``fail``
        rejects them.
    :raises MoEngageParameterError: it is neither.
    """

    def __init__(self, on_missing: Literal["ignore", "fail"] = "ignore") -> None:
        check_one_of("on_missing", on_missing, ON_MISSING)
        self._forgives = on_missing == "ignore"

    def forgives(self, error: MoEngageError) -> bool:
        """Whether the error says that MoEngage does not know the user, and that is no failure."""
        return (
            self._forgives
            and isinstance(error, MoEngageRecordRefused)
            and (error.type or "").strip().casefold() == "not found"
        )

    def counts(self, missing: int) -> Mapping[str, int]:
        """Return the users that MoEngage does not know."""
        return {"missing": missing}


DELETE_USERS = Operation(
    "delete_users",
    "users",
    Endpoint("Delete User", "/customer/delete", "query", quotas=(USERS_DELETED,)),
    mapping=DeletionMapping,
    responses=DeletionResponses,
    max_rows=DEFAULT_MAX_USERS,
    always_sent="a deletion leaves nothing to compare, and a user who was deleted may be back",
)
