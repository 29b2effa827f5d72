"""Delete User: converts rows to users to delete permanently."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal

from airflow_provider_moengage.api.errors import MoEngageParameterError
from airflow_provider_moengage.delivery.batch import Form, Item
from airflow_provider_moengage.delivery.shape.row_warnings import RowWarnings
from airflow_provider_moengage.delivery.shape.source_columns import check_has_column, id_of_row
from airflow_provider_moengage.parameters import check_column
from airflow_provider_moengage.records.users import Deletion, Terms

DELETION = Form({"delete_users": 1})


@dataclass(frozen=True)
class DeletionMapping:
    """
    Converts rows to deletions of users.

    :param id_column: the column that identifies the user; a row may be a bare id.
    :param identity_type: ``customer_id`` or ``moengage_id``.
    :raises MoEngageParameterError: a parameter is not allowed; the text names it and what is allowed.
    """

    remembers: ClassVar[bool] = False
    id_column: str = "customer_id"
    identity_type: Literal["customer_id", "moengage_id"] = "customer_id"

    def __post_init__(self) -> None:
        check_column("id_column", self.id_column)
        if self.identity_type not in ("customer_id", "moengage_id"):
            raise MoEngageParameterError(
                f"identity_type is {self.identity_type!r}; use 'customer_id' or 'moengage_id'"
            )

    def check_columns(self, columns: Sequence[str]) -> None:
        """Check a source's columns; see :class:`~airflow_provider_moengage.delivery.operation.RowMapping`."""
        check_has_column(columns, self.id_column, "id_column")

    def item(self, row: object, warnings: RowWarnings) -> Item:
        """Return the item of a row; see :class:`~airflow_provider_moengage.delivery.operation.RowMapping`."""
        identity, called = id_of_row(row, self.id_column, warnings, self.identity_type)
        record = Deletion.check(
            {"identity_type": self.identity_type, "identity_value": identity},
            Terms(names={"identity_value": called}),
        )
        return (record.to_json(), record.identity_value, DELETION)
