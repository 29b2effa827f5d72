"""Operators that write MoEngage users."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from airflow_provider_moengage.delivery.rows import UserMapping
from airflow_provider_moengage.delivery.sources import Source
from airflow_provider_moengage.hooks.moengage import MoEngageHook
from airflow_provider_moengage.operators.base import MoEngageSendOperator, RowsParameter


class MoEngageTrackUsersOperator(MoEngageSendOperator):
    """
    Creates and updates users, one Track User call each, in the source's order for every user.

    Attributes that a row does not name stay as they are at MoEngage.

    :param users: rows: a list, an upstream task's output, or a template that renders to a list or to JSON. A
        row is flat (``{"customer_id": "a1", "plan": "gold"}``) or in the API's own shape (``{"customer_id":
        "a1", "attributes": {…}}``).
    :param id_column: the column that identifies the user.
    :param attributes: attribute → column, or the columns to send under their own names; None: every other
        column.
    :param types: attribute → ``string``, ``number``, ``boolean``, ``datetime``, ``date`` or ``json``: how a
        text becomes a value.
    :param timezone: IANA name of the zone of datetimes that carry none; without it they are refused.
    :param nulls: what a NULL does: ``skip`` leaves it out, ``unset`` unsets the attribute (MoEngage must
        have enabled that early-access feature), ``send`` sends it.
    :param update_existing_only: do not create users that MoEngage does not know.
    """

    rows_parameter = "users"
    users = RowsParameter()
    template_fields: Sequence[str] = (
        "moengage_conn_id",
        "users",
        "sql",
        "sql_conn_id",
        "parameters",
        "path",
        "rejected_path",
    )

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
        self._mapping()

    def _send(self, hook: MoEngageHook, source: Source, **delivery: Any) -> dict[str, Any]:
        return hook.track_users(source, mapping=self._mapping(), **delivery)

    def _mapping(self) -> UserMapping:
        return UserMapping(
            id_column=self.id_column,
            attributes=self.attributes,
            types=self.types,
            timezone=self.timezone,
            nulls=self.nulls,
            update_existing_only=self.update_existing_only,
        )
