"""Rows that are little more than ids: whose attributes to unset, whom to read, merge and delete."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from pydantic_core import to_json

from airflow_provider_moengage.api.errors import MoEngageParameterError, MoEngageRecordInvalid
from airflow_provider_moengage.delivery.batch import Form, Item
from airflow_provider_moengage.delivery.elements import parsed_list
from airflow_provider_moengage.delivery.rows import BULK_USER, USER, as_row, check_column, check_switch
from airflow_provider_moengage.delivery.shape.column_names import check_spelling, spelling_hint
from airflow_provider_moengage.delivery.shape.convert import json_value
from airflow_provider_moengage.delivery.shape.id_columns import id_column_hint, missing_id
from airflow_provider_moengage.delivery.shape.ids import id_text, is_absent, is_no_id
from airflow_provider_moengage.delivery.shape.row_warnings import Watch
from airflow_provider_moengage.records.reasons import in_column
from airflow_provider_moengage.records.users import Deletion, Identifier, MergePair, Terms, UnsetRule, User

MERGE = Form({"merge_users": 1}, b'{"merge_data":[', b"]}")
DELETION = Form({"delete_users": 1})


#: What an id may be in Get User: the last two are one kind, which two editions of the documentation name differently.
IDENTIFIER_TYPES = ("customer_id", "id", "moengage_id")
#: What a reason calls ids of each kind.
_CALLED = {"customer_id": "customer_id", "id": "the MoEngage id", "moengage_id": "the MoEngage id"}
#: An identifier that MoEngage does not know: its id alone where all are of one kind, else as MoEngage lists it.
Missing = str | dict[str, str]


def _id_of(row: object, id_column: str, watch: Watch, kind: str = "customer_id") -> tuple[str | None, str]:
    """Read the id of a row that may be a bare id, and tell what a reason calls it."""
    called = _CALLED[kind]
    if isinstance(row, (str, int)):
        return id_text(row, watch, called), called
    called = in_column(called, id_column)
    row = as_row(row)
    text = id_text(row.get(id_column), watch, called)
    if text is None:
        raise missing_id(row, id_column, called)
    return text, called


def _need(columns: Sequence[str], column: str, parameter: str) -> None:
    if column not in columns:
        raise MoEngageParameterError(
            f"the source has no column {column!r}; say with {parameter}= which of its columns "
            f"({', '.join(columns)}) it is"
            + (
                spelling_hint(column, columns)
                or (id_column_hint(columns) if parameter == "id_column" else "")
            )
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
        customer_id, called = _id_of(row, self.id_column, watch)
        rules = self.unset if self.unset_column is None else as_row(row).get(self.unset_column)
        user = User.check(
            {
                "customer_id": customer_id,
                "update_existing_only": self.update_existing_only,
                "unset_attributes": self._rules(rules),
            },
            Terms(names={"customer_id": called, "unset_attributes": self.unset_column or "unset"}),
        )
        watch.look_at(str(user.customer_id), {}, user.unset_attributes)
        return (user.to_json(), str(user.customer_id), BULK_USER if self.bulk else USER)

    def _rules(self, rules: object) -> list[Any]:
        if isinstance(rules, str):
            rules = json_value("unset", parsed_list(rules), None)
        if not isinstance(rules, (list, tuple)) or not rules:
            called = in_column("what to unset", self.unset_column) if self.unset_column else "what to unset"
            raise MoEngageRecordInvalid("unset_rules", f"{called} is empty, or no list of names and rules")
        return [{"type": "equals", "attr": rule} if isinstance(rule, str) else rule for rule in rules]


class IdentifierMapping:
    """
    How rows say which users are read; an id that comes again is asked for once.

    The ids of a run are remembered: about 100 bytes each.

    :param id_column: the column that identifies the user; a row may be a bare id.
    :param identifier_type: ``customer_id``, or ``id`` for the MoEngage id, or ``moengage_id``, as another edition of
        the documentation calls the same.
    :param fields: the attributes to read; None: all that can be exported.
    :param identifier_type_column: the column that holds which of the three a row's id is, in place of
        ``identifier_type``. One id under two kinds is two identifiers.
    :raises MoEngageParameterError: a parameter is not allowed; the text names it and what is.
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
        self._asked: dict[str, str] = {}

    def check_columns(self, columns: Sequence[str]) -> None:
        """Say once what is wrong with a source's columns; see :class:`~.rows.RowMapping`."""
        _need(columns, self._id_column, "id_column")
        if self._type_column is not None:
            _need(columns, self._type_column, "identifier_type_column")

    def item(self, row: object, watch: Watch) -> Item:
        """Give what is sent of one row: nothing where its id was asked for before."""
        kind = self._kind_of(row)
        identifier, called = _id_of(row, self._id_column, watch, kind)
        record = Identifier.check(
            {"identifier_type": kind, "identifier": identifier}, Terms(names={"identifier": called})
        )
        whose = record.identifier if self._type_column is None else f"{kind}={record.identifier}"
        if whose in self._asked:
            # The first one's text, so that those which repeat it cost no text each.
            return (b"", self._asked[whose], self._form)
        content = record.to_json()
        self._asked[whose] = whose
        return (content, whose, self._form)

    def repeated_row(self, user: str) -> dict[str, str]:
        """Return a row that asks for a user of :meth:`item` again."""
        if self._type_column is None:
            return {self._id_column: user}
        kind, _, identifier = user.partition("=")
        return {self._type_column: kind, self._id_column: identifier}

    def missing(self, identifier: Mapping[str, Any]) -> Missing:
        """Return what is told of an identifier that MoEngage lists as not found."""
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
                    + spelling_hint(column, columns)
                )

    def item(self, row: object, watch: Watch) -> Item:
        """Give what is sent of one row; see :class:`~.rows.RowMapping`."""
        row = as_row(row)
        for name in ("merged_user", "retained_user"):
            if row.get(name) is None:
                check_spelling(name, row)
            if name not in row:
                raise MoEngageRecordInvalid(
                    "customer_id_missing",
                    f"the row has no column {name!r}; a pair is 'merged_user', which goes, and 'retained_user', which stays",
                )
        ids = {name: id_text(row.get(name), watch, name) for name in ("merged_user", "retained_user")}
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
        identity, called = _id_of(row, self.id_column, watch, self.identity_type)
        record = Deletion.check(
            {"identity_type": self.identity_type, "identity_value": identity},
            Terms(names={"identity_value": called}),
        )
        return (record.to_json(), record.identity_value, DELETION)
