"""Unset attributes: converts rows to users whose attributes are unset."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from airflow_provider_moengage.api.errors import MoEngageParameterError, MoEngageRecordInvalid
from airflow_provider_moengage.delivery.batch import Item
from airflow_provider_moengage.delivery.operation import BulkMapping
from airflow_provider_moengage.delivery.shape.convert import json_value
from airflow_provider_moengage.delivery.shape.row_forms import as_row
from airflow_provider_moengage.delivery.shape.row_warnings import RowWarnings
from airflow_provider_moengage.delivery.shape.source_columns import check_has_column, id_of_row, parsed_list
from airflow_provider_moengage.operations.track_users import BULK_USER, TRACK_USERS, USER
from airflow_provider_moengage.parameters import check_column, check_switch
from airflow_provider_moengage.records.reasons import in_column
from airflow_provider_moengage.records.users import Terms, UnsetRule, User


@dataclass(frozen=True)
class UnsetMapping(BulkMapping):
    """
    Converts rows to users whose attributes are unset.

    :param unset: what to unset of every user: attribute names, and rules ``{"type", "attr", "case_sensitive"}``.
    :param unset_column: instead of ``unset``: the column that holds a row's own list of the same.
    :param id_column: the column that identifies the user; a row may be a bare id.
    :param update_existing_only: do not create users that MoEngage does not know.
    :raises MoEngageParameterError: a parameter is not allowed; the text names it and what is allowed.
    """

    unset: Sequence[str | Mapping[str, Any]] | None = None
    unset_column: str | None = None
    id_column: str = "customer_id"
    update_existing_only: bool = False

    def __post_init__(self) -> None:
        check_column("id_column", self.id_column)
        check_switch("update_existing_only", self.update_existing_only)
        if (self.unset is None) == (self.unset_column is None):
            raise MoEngageParameterError("use exactly one of unset= and unset_column=")
        if self.unset_column is not None:
            check_column("unset_column", self.unset_column)
            return
        try:
            for rule in self._rules(self.unset):
                UnsetRule.check(rule)
        except MoEngageRecordInvalid as error:
            raise MoEngageParameterError(f"unset: {error}") from error

    def check_columns(self, columns: Sequence[str]) -> None:
        """Check a source's columns; see :class:`~airflow_provider_moengage.delivery.operation.RowMapping`."""
        check_has_column(columns, self.id_column, "id_column")
        if self.unset_column is not None:
            check_has_column(columns, self.unset_column, "unset_column")

    def fields_from(self, columns: Sequence[str]) -> Mapping[str, str]:
        """Return field → column; see :class:`~airflow_provider_moengage.delivery.operation.RowMapping`."""
        return {"customer_id": self.id_column}

    def item(self, row: object, warnings: RowWarnings) -> Item:
        """Return the item of a row; see :class:`~airflow_provider_moengage.delivery.operation.RowMapping`."""
        user = self.record(row, warnings)
        return (user.to_json(), str(user.customer_id), USER)

    def element(self, row: object, warnings: RowWarnings) -> Item:
        """Return the element of a row; see :class:`~airflow_provider_moengage.delivery.operation.BulkMapping`."""
        user = self.record(row, warnings)
        return (user.to_json(), str(user.customer_id), BULK_USER)

    def record(self, row: object, warnings: RowWarnings) -> User:
        """
        Build the record of one row.

        :raises MoEngageRecordInvalid: the row must not be sent; the reason explains why.
        """
        customer_id, called = id_of_row(row, self.id_column, warnings)
        rules = self.unset if self.unset_column is None else as_row(row).get(self.unset_column)
        user = User.check(
            {
                "customer_id": customer_id,
                "update_existing_only": self.update_existing_only,
                "unset_attributes": self._rules(rules),
            },
            Terms(names={"customer_id": called, "unset_attributes": self.unset_column or "unset"}),
        )
        warnings.look_at(str(user.customer_id), {}, user.unset_attributes)
        return user

    def _rules(self, rules: object) -> list[Any]:
        if isinstance(rules, str):
            rules = json_value("unset", parsed_list(rules), None)
        if not isinstance(rules, (list, tuple)) or not rules:
            called = in_column("what to unset", self.unset_column) if self.unset_column else "what to unset"
            raise MoEngageRecordInvalid("unset_rules", f"{called} is empty or not a list of names and rules")
        return [{"type": "equals", "attr": rule} if isinstance(rule, str) else rule for rule in rules]


#: MoEngage unsets attributes by a Track User request.
UNSET_ATTRIBUTES = replace(TRACK_USERS, name="unset_attributes", mapping=None)
