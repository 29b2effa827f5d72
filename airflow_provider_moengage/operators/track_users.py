"""The operator that creates and updates users."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from typing_extensions import Unpack

from airflow_provider_moengage.api.errors import MoEngageParameterError
from airflow_provider_moengage.delivery.changes.changed_only import Removal
from airflow_provider_moengage.delivery.shape.typed_text import AttributeType, DateFormat
from airflow_provider_moengage.hooks.moengage import MoEngageHook
from airflow_provider_moengage.operations.bulk_endpoint import DEFAULT_MAX_BYTES
from airflow_provider_moengage.operations.track_users import TRACK_USERS, UserMapping
from airflow_provider_moengage.operators.base import (
    CHANGED_ONLY_FIELDS,
    DEFAULT_DEFER_THRESHOLD,
    MoEngageSendOperator,
    template_fields,
)
from airflow_provider_moengage.operators.changes import DEFAULT_MAX_REMOVED, OnRemoved, removal_of_users
from airflow_provider_moengage.operators.row_sources import RowsParameter
from airflow_provider_moengage.operators.task_arguments import TaskArguments
from airflow_provider_moengage.parameters import (
    check_count_or_share,
    check_max_bytes,
    check_switch,
    check_whole_number,
)


class MoEngageTrackUsersOperator(MoEngageSendOperator):
    """
    Creates and updates users, one Track User request each or many in a Bulk Import request, in the source's order
    for every user.

    Attributes that a row does not name remain unchanged at MoEngage.

    Example::

        MoEngageTrackUsersOperator(
            task_id="push_customers",
            sql="select customer_id, plan_name, last_order_at from customers",
            sql_conn_id="warehouse",
            attributes={"plan": "plan_name", "last_order": "last_order_at"},
            types={"last_order": "datetime"},
            timezone="Asia/Kolkata",
            max_rejected=0.01,
            rejected_path="s3://lake_conn@lake/moengage/rejected",
        )

    :param users: rows: a list, an upstream task's output, or a template that renders to a list or to JSON. A
        row is flat (``{"customer_id": "a1", "plan": "gold"}``) or in the API's own shape (``{"customer_id":
        "a1", "attributes": {…}}``, or ``{"type": "customer", …}`` where ``attributes`` here names no columns).
    :param sql: one statement that returns rows, or a ``.sql`` file. It is sent as written, and its rows are streamed.
        Templated.
    :param sql_conn_id: the connection that runs ``sql``; its hook is a ``DbApiHook``. Templated.
    :param parameters: bind parameters of the statement, in the driver's own placeholder style. Templated.
    :param sql_hook_params: arguments of the database hook's constructor.
    :param path: a file, a folder or a glob as an ``ObjectStoragePath`` URL, such as ``s3://conn_id@bucket/*.csv``:
        NDJSON, JSON, CSV, TSV, each also with ``.gz``, and Parquet. Templated.
    :param encoding: the encoding of text files, such as ``cp1252``; None: UTF-8. A byte order mark is followed in
        either case.
    :param delimiter: the character between the cells of a CSV; None: a tab in ``.tsv``, a comma elsewhere.
    :param null_values: the cells of a CSV that are NULL, such as ``["NULL"]``; an empty one always is.
    :param fold_columns: convert all column names to ``lower`` or ``upper`` case; None: keep them as the source has
        them.
    :param id_column: the column that identifies the user.
    :param attributes: attribute → column, or the columns to send under their own names; None: every other
        column.
    :param types: attribute → ``string``, ``number``, ``boolean``, ``datetime``, ``date``, ``json``, or
        ``datetime:`` or ``date:`` and a format of ``strptime``: how a text becomes a value.
    :param timezone: IANA name of the time zone of datetimes that carry none; without it they are rejected.
    :param nulls: what a NULL does: ``skip`` leaves the attribute out, ``unset`` unsets it (MoEngage must have enabled
        that early-access feature), ``send`` sends it.
    :param update_existing_only: do not create users that MoEngage does not know.
    :param identifiers: the active identifiers of an Identity Resolution workspace, such as ``moe_mobile``: a row
        that holds one of them needs no id.
    :param add_to_arrays: array attribute → the column that holds what is added to it.
    :param remove_from_arrays: array attribute → the column that holds what is removed from it.
    :param on_bad_attribute: an attribute that breaks a rule: ``reject`` the row, or ``drop`` the attribute, send the row
        without it, and count it in the report's ``dropped``. Ids are never dropped.
    :param bulk: pack the users into Bulk Import requests, instead of one request each.
    :param max_bytes: the largest body of one such request: MoEngage's OpenAPI document says 100 KB, its general text
        128 KB.
    :param moengage_conn_id: the MoEngage connection. Templated.
    :param project_code: the project of a Portfolio workspace, in place of the connection's. Templated.
    :param concurrency: the maximum number of requests in flight, from 1 to 256. None: as many as it takes to use the rate
        window at the latency met.
    :param max_rejected: rows that may be rejected before the task fails: an int is a count, a float below 1 a
        share of the rows read.
    :param rejected_path: a folder for rejected rows, as an ``ObjectStoragePath`` URL; once they are repaired,
        ``path`` reads it. Templated.
    :param on_empty: what happens if the source has no rows: ``success`` with a warning, ``skip`` or ``fail``.
    :param validate_only: do everything except sending; the report counts the valid rows as ``valid``.
    :param staging_path: a folder that all workers can reach, as an ``ObjectStoragePath`` URL: the rows of ``sql`` are
        copied there first, so that a retry reads the same rows; None: ``[moengage] staging_path``. Templated.
    :param durable: whether a retry resumes where the previous attempt ended, if its rows can be read again.
    :param changed_only: send only rows whose records differ from what MoEngage accepted before; the others count as
        ``unchanged``.
    :param snapshot_path: the folder that keeps fingerprints of what was accepted, as an ``ObjectStoragePath`` URL that all
        workers can reach; None: ``[moengage] snapshot_path``. Templated.
    :param full_resync: send all rows once more, and remove nothing. Templated.
    :param resync_every: of the unchanged rows, send the nth part in each run, so that n runs send all of them.
    :param on_removed: what happens to users whom an earlier run has sent and the source does not have any more: ``ignore``,
        ``unset`` or ``update`` the ``removed_attributes``, or ``delete`` the user. Their ids are kept in the snapshot.
    :param removed_attributes: a list of names for ``unset``, a dict of attribute and value for ``update``.
    :param max_removed: if more users have left the source, none is removed, and the task fails once every row is delivered:
        an int is a count, a float below 1 a share of the users in the snapshot.
    :param sample: keep the ids of so many of the accepted users, and fingerprints of their values, in a file below
        ``snapshot_path``: :class:`~airflow_provider_moengage.sensors.users.MoEngageUsersArrivedSensor` reads these users back.
    :param deferrable: release the worker slot while waiting for a rate window; None: ``[operators]
        default_deferrable``.
    :param defer_threshold: defer the task only for a wait of at least this many seconds.
    :param kwargs: arguments of Airflow's ``BaseOperator``, such as ``task_id`` and ``retries``.
    """

    operation = TRACK_USERS
    mapping: UserMapping
    users = RowsParameter()
    template_fields: Sequence[str] = template_fields("users", *CHANGED_ONLY_FIELDS)

    def __init__(
        self,
        *,
        users: Any = None,
        sql: str | None = None,
        sql_conn_id: str | None = None,
        parameters: Sequence[Any] | Mapping[str, Any] | None = None,
        sql_hook_params: Mapping[str, Any] | None = None,
        path: str | None = None,
        encoding: str | None = None,
        delimiter: str | None = None,
        null_values: Sequence[str] | None = None,
        fold_columns: Literal["lower", "upper"] | None = None,
        id_column: str = "customer_id",
        attributes: Mapping[str, str] | Sequence[str] | None = None,
        types: Mapping[str, AttributeType | DateFormat] | None = None,
        timezone: str | None = None,
        nulls: Literal["skip", "unset", "send"] = "skip",
        update_existing_only: bool = False,
        identifiers: Sequence[str] = (),
        add_to_arrays: Mapping[str, str] | None = None,
        remove_from_arrays: Mapping[str, str] | None = None,
        on_bad_attribute: Literal["reject", "drop"] = "reject",
        bulk: bool = False,
        max_bytes: int = DEFAULT_MAX_BYTES,
        moengage_conn_id: str = MoEngageHook.default_conn_name,
        project_code: str | None = None,
        concurrency: int | None = None,
        max_rejected: float = 0,
        rejected_path: str | None = None,
        on_empty: Literal["success", "skip", "fail"] = "success",
        validate_only: bool = False,
        staging_path: str | None = None,
        durable: bool = True,
        changed_only: bool = False,
        snapshot_path: str | None = None,
        full_resync: bool | str = False,
        resync_every: int | None = None,
        on_removed: OnRemoved = "ignore",
        removed_attributes: Sequence[str] | Mapping[str, Any] | None = None,
        max_removed: float = DEFAULT_MAX_REMOVED,
        sample: int = 0,
        deferrable: bool | None = None,
        defer_threshold: float = DEFAULT_DEFER_THRESHOLD,
        **kwargs: Unpack[TaskArguments],
    ) -> None:
        self.users = users
        super().__init__(
            mapping=UserMapping(
                id_column=id_column,
                attributes=attributes,
                types=types,
                timezone=timezone,
                nulls=nulls,
                update_existing_only=update_existing_only,
                identifiers=identifiers,
                add_to_arrays=add_to_arrays,
                remove_from_arrays=remove_from_arrays,
                on_bad_attribute=on_bad_attribute,
            ),
            sql=sql,
            sql_conn_id=sql_conn_id,
            parameters=parameters,
            sql_hook_params=sql_hook_params,
            path=path,
            encoding=encoding,
            delimiter=delimiter,
            null_values=null_values,
            fold_columns=fold_columns,
            moengage_conn_id=moengage_conn_id,
            project_code=project_code,
            concurrency=concurrency,
            max_rejected=max_rejected,
            rejected_path=rejected_path,
            on_empty=on_empty,
            validate_only=validate_only,
            staging_path=staging_path,
            durable=durable,
            changed_only=changed_only,
            snapshot_path=snapshot_path,
            full_resync=full_resync,
            resync_every=resync_every,
            deferrable=deferrable,
            defer_threshold=defer_threshold,
            **kwargs,
        )
        self.bulk = bulk
        self.max_bytes = max_bytes
        check_switch("bulk", bulk)
        check_max_bytes(max_bytes)
        self.on_removed = on_removed
        self.removed_attributes = removed_attributes
        self.max_removed = max_removed
        self.sample = sample
        check_whole_number("sample", sample, 0)
        check_count_or_share("max_removed", max_removed, "users")
        if on_removed != "ignore" and not changed_only:
            raise MoEngageParameterError(
                "on_removed is given without changed_only=True; without a snapshot it is not known who was there"
            )
        self.removal()

    def own_arguments(self) -> dict[str, Any]:
        """Return how the rows go to Bulk Import, if they do."""
        return {"bulk": self.bulk, "max_bytes": self.max_bytes if self.bulk else None}

    def removal(self) -> Removal | None:
        """
        Return what happens to users who have left the source; None: nothing.

        :raises MoEngageParameterError: a parameter is not allowed.
        """
        return removal_of_users(self.on_removed, self.removed_attributes, self.mapping, bulk=self.bulk)
