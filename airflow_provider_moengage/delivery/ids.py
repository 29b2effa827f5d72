"""Rows that are little more than ids: whose attributes to unset, whom to read, merge and delete."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from pydantic_core import to_json

from airflow_provider_moengage.api.errors import MoEngageParameterError, MoEngageRecordInvalid
from airflow_provider_moengage.api.records import Deletion, Identifier, MergePair, UnsetRule, User
from airflow_provider_moengage.delivery.batches import Form, Item
from airflow_provider_moengage.delivery.conversion import customer_id_text, json_value
from airflow_provider_moengage.delivery.elements import parsed_list
from airflow_provider_moengage.delivery.rows import BULK_USER, USER, as_row, check_column, check_switch
from airflow_provider_moengage.delivery.watch import Watch

MERGE = Form({"merge_users": 1}, b'{"merge_data":[', b"]}")
DELETION = Form({"delete_users": 1})


def _id_of(row: object, id_column: str) -> str | None:
    """Read the id of a row that may be a bare id."""
    if isinstance(row, (str, int)):
        return customer_id_text(row)
    return customer_id_text(as_row(row).get(id_column))


def _need(columns: Sequence[str], column: str, parameter: str) -> None:
    if column not in columns:
        raise MoEngageParameterError(
            f"the source has no column {column!r}; say with {parameter}= which of its columns "
            f"({', '.join(columns)}) it is"
        )


@dataclass(frozen=True)
class UnsetMapping:
    """
    How rows say whose attributes are unset.

    :param unset: what to unset of every user: attribute names, and rules ``{"type", "attr", "case_sensitive"}``.
    :param unset_column: in place of ``unset``: the column that holds a row's own list of the same.
    :param id_column: the column that identifies the user; a row may be a bare id.
    :param update_existing_only: do not create users that MoEngage does not know.
    :param bulk: the users are elements of Bulk Import.
    :raises MoEngageParameterError: a parameter is not allowed; the text names it and what is.
    """

    remembers: ClassVar[bool] = False
    unset: Sequence[str | Mapping[str, Any]] | None = None
    unset_column: str | None = None
    id_column: str = "customer_id"
    update_existing_only: bool = False
    bulk: bool = False

    def __post_init__(self) -> None:
        check_column("id_column", self.id_column)
        check_switch("bulk", self.bulk)
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
        """Say once what is wrong with a source's columns; see :class:`~.rows.RowMapping`."""
        _need(columns, self.id_column, "id_column")
        if self.unset_column is not None:
            _need(columns, self.unset_column, "unset_column")

    def item(self, row: object, watch: Watch) -> Item:
        """Give what is sent of one row; see :class:`~.rows.RowMapping`."""
        rules = self.unset if self.unset_column is None else as_row(row).get(self.unset_column)
        user = User.check(
            {
                "customer_id": _id_of(row, self.id_column),
                "update_existing_only": self.update_existing_only,
                "unset_attributes": self._rules(rules),
            }
        )
        watch.look_at(str(user.customer_id), {}, user.unset_attributes)
        return (user.to_json(), str(user.customer_id), BULK_USER if self.bulk else USER)

    def _rules(self, rules: object) -> list[Any]:
        if isinstance(rules, str):
            rules = json_value("unset", parsed_list(rules), None)
        if not isinstance(rules, (list, tuple)) or not rules:
            raise MoEngageRecordInvalid(
                "unset_rules", "what to unset is empty, or no list of names and rules"
            )
        return [{"type": "equals", "attr": rule} if isinstance(rule, str) else rule for rule in rules]


class IdentifierMapping:
    """
    How rows say which users are read; an id that comes again is asked for once.

    The ids of a run are remembered: about 100 bytes each.

    :param id_column: the column that identifies the user; a row may be a bare id.
    :param identifier_type: ``customer_id``, or ``id`` for the MoEngage id.
    :param fields: the attributes to read; None: all that can be exported.
    :raises MoEngageParameterError: a parameter is not allowed; the text names it and what is.
    """

    remembers: ClassVar[bool] = False

    def __init__(
        self,
        id_column: str = "customer_id",
        identifier_type: Literal["customer_id", "id"] = "customer_id",
        fields: Sequence[str] | None = None,
    ) -> None:
        check_column("id_column", id_column)
        if identifier_type not in ("customer_id", "id"):
            raise MoEngageParameterError(f"identifier_type is {identifier_type!r}; use 'customer_id' or 'id'")
        good = fields is None or (
            isinstance(fields, (list, tuple)) and fields and all(isinstance(name, str) for name in fields)
        )
        if not good:
            raise MoEngageParameterError(f"fields is {fields!r}; use a list of attribute names")
        self._id_column = id_column
        self._identifier_type = identifier_type
        wanted = b',"user_fields_to_export":' + to_json(list(fields)) if fields else b""
        self._form = Form({"get_users": 1}, b'{"data":{"identifiers":[', b"]" + wanted + b"}}")
        self._asked: set[str] = set()

    def check_columns(self, columns: Sequence[str]) -> None:
        """Say once what is wrong with a source's columns; see :class:`~.rows.RowMapping`."""
        _need(columns, self._id_column, "id_column")

    def item(self, row: object, watch: Watch) -> Item:
        """Give what is sent of one row: nothing where its id was asked for before."""
        record = Identifier.check(
            {"identifier_type": self._identifier_type, "identifier": _id_of(row, self._id_column)}
        )
        if record.identifier in self._asked:
            return (b"", record.identifier, self._form)
        content = record.to_json()
        self._asked.add(record.identifier)
        return (content, record.identifier, self._form)


class PairMapping:
    """
    How rows say which users are merged; what could not be meant, or not be undone, is refused.

    The ids of a run are remembered: about 100 bytes each.
    """

    remembers: ClassVar[bool] = True

    def __init__(self) -> None:
        self._merged: set[str] = set()
        self._retained: set[str] = set()

    def check_columns(self, columns: Sequence[str]) -> None:
        """Say once what is wrong with a source's columns; see :class:`~.rows.RowMapping`."""
        for column in ("merged_user", "retained_user"):
            if column not in columns:
                raise MoEngageParameterError(
                    f"the source has no column {column!r}; it has {', '.join(columns)}"
                )

    def item(self, row: object, watch: Watch) -> Item:
        """Give what is sent of one row; see :class:`~.rows.RowMapping`."""
        row = as_row(row)
        ids = {name: customer_id_text(row.get(name)) for name in ("merged_user", "retained_user")}
        pair = MergePair.check(ids)
        merged, retained = pair.merged_user, pair.retained_user
        if merged == retained:
            raise MoEngageRecordInvalid("merge_same", "merged_user and retained_user are the same")
        if merged in self._merged:
            raise MoEngageRecordInvalid("merge_twice", "merged_user is merged by an earlier row already")
        if retained in self._merged:
            raise MoEngageRecordInvalid(
                "merge_chain", "retained_user is merged away by an earlier row; merge into the one that stays"
            )
        if merged in self._retained:
            raise MoEngageRecordInvalid(
                "merge_chain", "merged_user is what an earlier row merges into; merge into the one that stays"
            )
        content = pair.to_json()
        self._merged.add(merged)
        self._retained.add(retained)
        return (content, "", MERGE)


@dataclass(frozen=True)
class DeletionMapping:
    """
    How rows say who is deleted.

    :param id_column: the column that identifies the user; a row may be a bare id.
    :param identity_type: ``customer_id`` or ``moengage_id``.
    :raises MoEngageParameterError: a parameter is not allowed; the text names it and what is.
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
        """Say once what is wrong with a source's columns; see :class:`~.rows.RowMapping`."""
        _need(columns, self.id_column, "id_column")

    def item(self, row: object, watch: Watch) -> Item:
        """Give what is sent of one row; see :class:`~.rows.RowMapping`."""
        record = Deletion.check(
            {"identity_type": self.identity_type, "identity_value": _id_of(row, self.id_column)}
        )
        return (record.to_json(), record.identity_value, DELETION)
