"""Operators that write devices."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from typing_extensions import Unpack

from airflow_provider_moengage.hooks.moengage import MoEngageHook
from airflow_provider_moengage.operations.opt_out_devices import OPT_OUT_DEVICES, OptOutMapping
from airflow_provider_moengage.operations.track_devices import TRACK_DEVICES, DeviceMapping
from airflow_provider_moengage.operators.base import (
    CHANGED_ONLY_FIELDS,
    DEFAULT_DEFER_THRESHOLD,
    MoEngageSendOperator,
    template_fields,
)
from airflow_provider_moengage.operators.row_sources import RowsParameter
from airflow_provider_moengage.operators.task_arguments import TaskArguments


class MoEngageTrackDevicesOperator(MoEngageSendOperator):
    """
    Creates and updates devices of existing users, one request each.

    Example::

        MoEngageTrackDevicesOperator(
            task_id="push_devices",
            sql="select customer_id, device_id, platform, push_id from devices",
            sql_conn_id="warehouse",
        )

    :param devices: rows, flat (``{"customer_id": "a1", "device_id": "d1", "platform": "iOS", "push_id": "p1"}``) or in
        the API's own shape, with all fields but the ids under ``attributes``.
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
    :param deferrable: release the worker slot while waiting for a rate window; None: ``[operators]
        default_deferrable``.
    :param defer_threshold: defer the task only for a wait of at least this many seconds.
    :param kwargs: arguments of Airflow's ``BaseOperator``, such as ``task_id`` and ``retries``.
    """

    operation = TRACK_DEVICES
    devices = RowsParameter()
    template_fields: Sequence[str] = template_fields("devices", *CHANGED_ONLY_FIELDS)

    def __init__(
        self,
        *,
        devices: Any = None,
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
        deferrable: bool | None = None,
        defer_threshold: float = DEFAULT_DEFER_THRESHOLD,
        **kwargs: Unpack[TaskArguments],
    ) -> None:
        self.devices = devices
        super().__init__(
            mapping=DeviceMapping(id_column),
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


class MoEngageOptOutDevicesOperator(MoEngageSendOperator):
    """
    Blocks or unblocks push messages to users' devices, one request each.

    Example::

        MoEngageOptOutDevicesOperator(
            task_id="block_push",
            sql="select customer_id, reason from push_opt_outs",
            sql_conn_id="warehouse",
            action="block",
        )

    :param devices: rows with ``customer_id``, or ``user_identifier_type`` and ``user_identifier_value``, and where
        wanted ``action_type``, ``reason``, ``client_reference_id`` and ``device_identifiers``.
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
    :param action: ``block`` or ``unblock``, for rows without an ``action_type`` of their own.
    :param id_column: the column that identifies the user.
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

    operation = OPT_OUT_DEVICES
    devices = RowsParameter()
    template_fields: Sequence[str] = template_fields("devices")

    def __init__(
        self,
        *,
        devices: Any = None,
        sql: str | None = None,
        sql_conn_id: str | None = None,
        parameters: Sequence[Any] | Mapping[str, Any] | None = None,
        sql_hook_params: Mapping[str, Any] | None = None,
        path: str | None = None,
        encoding: str | None = None,
        delimiter: str | None = None,
        null_values: Sequence[str] | None = None,
        fold_columns: Literal["lower", "upper"] | None = None,
        action: Literal["block", "unblock"] | None = None,
        id_column: str = "customer_id",
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
        self.devices = devices
        super().__init__(
            mapping=OptOutMapping(action, id_column),
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
