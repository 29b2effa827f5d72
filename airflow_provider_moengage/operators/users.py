"""Operators that write MoEngage users."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from airflow_provider_moengage.api.endpoints import BULK_IMPORT
from airflow_provider_moengage.delivery.ids import DeletionMapping, UnsetMapping
from airflow_provider_moengage.delivery.report import Report
from airflow_provider_moengage.delivery.rows import UserMapping
from airflow_provider_moengage.delivery.sources import Source
from airflow_provider_moengage.hooks.moengage import MoEngageHook
from airflow_provider_moengage.hooks.outcome import check_max_bytes, check_max_users
from airflow_provider_moengage.operators.base import (
    MoEngageSendOperator,
    RowsParameter,
    check_on_missing,
    template_fields,
)
from airflow_provider_moengage.operators.get_users import MoEngageGetUsersOperator


class MoEngageTrackUsersOperator(MoEngageSendOperator):
    """
    Creates and updates users, one Track User call each or many in a call of Bulk Import, in the source's order for
    every user.

    Attributes that a row does not name stay as they are at MoEngage.

    :param users: rows: a list, an upstream task's output, or a template that renders to a list or to JSON. A
        row is flat (``{"customer_id": "a1", "plan": "gold"}``) or in the API's own shape (``{"customer_id":
        "a1", "attributes": {…}}``, or ``{"type": "customer", …}`` where ``attributes`` here names no columns).
    :param id_column: the column that identifies the user.
    :param attributes: attribute → column, or the columns to send under their own names; None: every other
        column.
    :param types: attribute → ``string``, ``number``, ``boolean``, ``datetime``, ``date``, ``json``, or
        ``datetime:`` or ``date:`` and a form of ``strptime``: how a
        text becomes a value.
    :param timezone: IANA name of the zone of datetimes that carry none; without it they are refused.
    :param nulls: what a NULL does: ``skip`` leaves it out, ``unset`` unsets the attribute (MoEngage must
        have enabled that early-access feature), ``send`` sends it.
    :param update_existing_only: do not create users that MoEngage does not know.
    :param identifiers: the active identifiers of an Identity Resolution workspace, such as ``moe_mobile``: a row
        that holds one of them needs no id.
    :param add_to_arrays: array attribute → the column that holds what is added to it.
    :param remove_from_arrays: array attribute → the column that holds what is removed from it.
    :param on_bad_attribute: an attribute that breaks a rule: ``reject`` the row, or ``drop`` the attribute, send the row
        without it, and count it in the report's ``dropped``. Ids are never dropped.
    :param bulk: pack the users into calls of Bulk Import, in place of one call each.
    :param max_bytes: the largest body of one such call: MoEngage's OpenAPI document says 100 KB, its general text
        128 KB.
    """

    rows_parameter = "users"
    users = RowsParameter()
    template_fields: Sequence[str] = template_fields("users")

    def __init__(
        self,
        *,
        users: Any = None,
        id_column: str = "customer_id",
        attributes: Mapping[str, str] | Sequence[str] | None = None,
        types: Mapping[str, str] | None = None,
        timezone: str | None = None,
        nulls: Literal["skip", "unset", "send"] = "skip",
        update_existing_only: bool = False,
        identifiers: Sequence[str] = (),
        add_to_arrays: Mapping[str, str] | None = None,
        remove_from_arrays: Mapping[str, str] | None = None,
        on_bad_attribute: Literal["reject", "drop"] = "reject",
        bulk: bool = False,
        max_bytes: int = BULK_IMPORT.max_bytes,
        **kwargs: Any,
    ) -> None:
        self.users = users
        super().__init__(**kwargs)
        self.id_column = id_column
        self.attributes = attributes
        self.types = types
        self.timezone = timezone
        self.nulls = nulls
        self.update_existing_only = update_existing_only
        self.identifiers = identifiers
        self.add_to_arrays = add_to_arrays
        self.remove_from_arrays = remove_from_arrays
        self.on_bad_attribute = on_bad_attribute
        self.bulk = bulk
        self.max_bytes = max_bytes
        check_max_bytes(max_bytes)
        self._mapping()

    def _send(self, hook: MoEngageHook, source: Source, **delivery: Any) -> Report:
        return hook.track_users(source, mapping=self._mapping(), max_bytes=self.max_bytes, **delivery)

    def _mapping(self) -> UserMapping:
        return UserMapping(
            id_column=self.id_column,
            attributes=self.attributes,
            types=self.types,
            timezone=self.timezone,
            nulls=self.nulls,
            update_existing_only=self.update_existing_only,
            identifiers=self.identifiers,
            add_to_arrays=self.add_to_arrays,
            remove_from_arrays=self.remove_from_arrays,
            on_bad_attribute=self.on_bad_attribute,
            bulk=self.bulk,
        )


class MoEngageUnsetAttributesOperator(MoEngageSendOperator):
    """
    Unsets attributes of users, one Track User call each or many in a call of Bulk Import; MoEngage must have enabled
    that early-access feature.

    :param users: rows, or bare ids.
    :param unset: what to unset of every user: attribute names, and rules ``{"type": "prefix", "attr": "tmp_"}`` with a
        ``type`` of ``equals``, ``prefix``, ``suffix`` or ``contains`` and, where wanted, ``case_sensitive``.
    :param unset_column: in place of ``unset``: the column that holds a row's own list of the same.
    :param id_column: the column that identifies the user.
    :param update_existing_only: do not create users that MoEngage does not know.
    :param bulk: pack the users into calls of Bulk Import, in place of one call each.
    :param max_bytes: the largest body of one such call.
    """

    rows_parameter = "users"
    users = RowsParameter()
    template_fields: Sequence[str] = template_fields("users")

    def __init__(
        self,
        *,
        users: Any = None,
        unset: Sequence[str | Mapping[str, Any]] | None = None,
        unset_column: str | None = None,
        id_column: str = "customer_id",
        update_existing_only: bool = False,
        bulk: bool = False,
        max_bytes: int = BULK_IMPORT.max_bytes,
        **kwargs: Any,
    ) -> None:
        self.users = users
        super().__init__(**kwargs)
        self.unset = unset
        self.unset_column = unset_column
        self.id_column = id_column
        self.update_existing_only = update_existing_only
        self.bulk = bulk
        self.max_bytes = max_bytes
        check_max_bytes(max_bytes)
        self._mapping()

    def _send(self, hook: MoEngageHook, source: Source, **delivery: Any) -> Report:
        return hook.unset_attributes(source, mapping=self._mapping(), max_bytes=self.max_bytes, **delivery)

    def _mapping(self) -> UnsetMapping:
        return UnsetMapping(
            self.unset, self.unset_column, self.id_column, self.update_existing_only, self.bulk
        )


class MoEngageMergeUsersOperator(MoEngageSendOperator):
    """
    Merges users, fifty pairs a call. It cannot be undone, and MoEngage skips a failing pair without a word.

    The ids of a run are remembered, to refuse a user that is merged twice and chains of merges.

    :param pairs: rows with ``merged_user``, the customer id that goes, and ``retained_user``, the one that stays.
    """

    rows_parameter = "pairs"
    pairs = RowsParameter()
    template_fields: Sequence[str] = template_fields("pairs")

    def __init__(self, *, pairs: Any = None, **kwargs: Any) -> None:
        self.pairs = pairs
        super().__init__(**kwargs)

    def _send(self, hook: MoEngageHook, source: Source, **delivery: Any) -> Report:
        return hook.merge_users(source, **delivery)


class MoEngageDeleteUsersOperator(MoEngageSendOperator):
    """
    Deletes users for good, one a call; MoEngage does so within a day.

    :param users: rows, or bare ids; up to ``max_users`` of them are held in memory.
    :param id_column: the column that identifies the user.
    :param identity_type: ``customer_id`` or ``moengage_id``.
    :param on_missing: ``ignore`` counts users that MoEngage does not know as accepted, and as ``missing`` in the
        report; ``fail`` refuses them.
    :param max_users: more deletions than that are refused before the first one is sent.
    """

    rows_parameter = "users"
    users = RowsParameter()
    template_fields: Sequence[str] = template_fields("users")

    def __init__(
        self,
        *,
        users: Any = None,
        id_column: str = "customer_id",
        identity_type: Literal["customer_id", "moengage_id"] = "customer_id",
        on_missing: Literal["ignore", "fail"] = "ignore",
        max_users: int = 1_000,
        **kwargs: Any,
    ) -> None:
        self.users = users
        super().__init__(**kwargs)
        self.id_column = id_column
        self.identity_type = identity_type
        self.on_missing = on_missing
        self.max_users = max_users
        check_on_missing(on_missing)
        check_max_users(max_users)
        DeletionMapping(id_column, identity_type)

    def _send(self, hook: MoEngageHook, source: Source, **delivery: Any) -> Report:
        return hook.delete_users(
            source,
            mapping=DeletionMapping(self.id_column, self.identity_type),
            on_missing=self.on_missing,
            max_users=self.max_users,
            **delivery,
        )


__all__ = [
    "MoEngageDeleteUsersOperator",
    "MoEngageGetUsersOperator",
    "MoEngageMergeUsersOperator",
    "MoEngageTrackUsersOperator",
    "MoEngageUnsetAttributesOperator",
]
