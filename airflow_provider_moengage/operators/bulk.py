"""The operator of Bulk Import."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from typing_extensions import Unpack

from airflow_provider_moengage.delivery.shape.typed_text import AttributeType, DateFormat
from airflow_provider_moengage.hooks.moengage import MoEngageHook
from airflow_provider_moengage.operations.bulk_endpoint import DEFAULT_MAX_BYTES
from airflow_provider_moengage.operations.bulk_import import BULK_IMPORT, ElementMapping
from airflow_provider_moengage.operations.track_events import EventMapping
from airflow_provider_moengage.operations.track_users import UserMapping
from airflow_provider_moengage.operators.base import (
    DEFAULT_DEFER_THRESHOLD,
    MoEngageSendOperator,
    template_fields,
)
from airflow_provider_moengage.operators.row_sources import RowsParameter
from airflow_provider_moengage.operators.task_arguments import TaskArguments
from airflow_provider_moengage.parameters import ON_RESTART, check_max_bytes, check_one_of


class MoEngageBulkImportOperator(MoEngageSendOperator):
    """
    Sends users, events and devices, mixed freely, in requests of up to 100,000 bytes.

    A request that MoEngage rejects is halved until the bad element is isolated. Users, events and devices are
    each counted in a rate window of their own.

    Example::

        MoEngageBulkImportOperator(
            task_id="import_all",
            path="s3://lake_conn@lake/moengage/elements/*.ndjson.gz",
            rejected_path="s3://lake_conn@lake/moengage/rejected",
        )

    :param elements: rows in the API's own shape, distinguished by ``type``: ``customer``, ``event`` or ``device``.
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
    :param types: attribute → ``string``, ``number``, ``boolean``, ``datetime``, ``date``, ``json``, or ``datetime:`` or
        ``date:`` and a format of ``strptime``.
    :param timezone: IANA name of the time zone of datetimes that carry none; without it they are rejected.
    :param identifiers: the active identifiers of an Identity Resolution workspace.
    :param add_to_arrays: array attribute of customers → the attribute of a row that holds what is added to it.
    :param remove_from_arrays: the same for what is removed.
    :param on_bad_attribute: an attribute that breaks a rule: ``reject`` the row, or ``drop`` the attribute, send the row
        without it, and count it in the report's ``dropped``. Ids are never dropped.
    :param on_restart: what a retry does that cannot resume the previous attempt and does not know which events it
        sent: ``fail`` before sending the first event, or ``resend`` all of them.
    :param max_bytes: the largest body of one request: MoEngage's OpenAPI document says 100 KB, its general text 128
        KB.
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
    :param deferrable: release the worker slot while waiting for a rate window; None: ``[operators]
        default_deferrable``.
    :param defer_threshold: defer the task only for a wait of at least this many seconds.
    :param kwargs: arguments of Airflow's ``BaseOperator``, such as ``task_id`` and ``retries``.
    """

    operation = BULK_IMPORT
    elements = RowsParameter()
    template_fields: Sequence[str] = template_fields("elements")

    def __init__(
        self,
        *,
        elements: Any = None,
        sql: str | None = None,
        sql_conn_id: str | None = None,
        parameters: Sequence[Any] | Mapping[str, Any] | None = None,
        sql_hook_params: Mapping[str, Any] | None = None,
        path: str | None = None,
        encoding: str | None = None,
        delimiter: str | None = None,
        null_values: Sequence[str] | None = None,
        fold_columns: Literal["lower", "upper"] | None = None,
        types: Mapping[str, AttributeType | DateFormat] | None = None,
        timezone: str | None = None,
        identifiers: Sequence[str] = (),
        add_to_arrays: Mapping[str, str] | None = None,
        remove_from_arrays: Mapping[str, str] | None = None,
        on_bad_attribute: Literal["reject", "drop"] = "reject",
        on_restart: Literal["fail", "resend"] = "fail",
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
        deferrable: bool | None = None,
        defer_threshold: float = DEFAULT_DEFER_THRESHOLD,
        **kwargs: Unpack[TaskArguments],
    ) -> None:
        self.elements = elements
        super().__init__(
            mapping=ElementMapping(
                UserMapping(
                    types=types,
                    timezone=timezone,
                    identifiers=identifiers,
                    add_to_arrays=add_to_arrays,
                    remove_from_arrays=remove_from_arrays,
                    on_bad_attribute=on_bad_attribute,
                ),
                EventMapping(
                    types=types,
                    timezone=timezone,
                    identifiers=identifiers,
                    on_bad_attribute=on_bad_attribute,
                ),
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
            deferrable=deferrable,
            defer_threshold=defer_threshold,
            **kwargs,
        )
        self.on_restart = on_restart
        self.max_bytes = max_bytes
        check_max_bytes(max_bytes)
        check_one_of("on_restart", on_restart, ON_RESTART)

    def own_arguments(self) -> dict[str, Any]:
        """Return the largest body of a request."""
        return {"max_bytes": self.max_bytes}
