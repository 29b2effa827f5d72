"""The operator that unsets attributes of users."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from typing_extensions import Unpack

from airflow_provider_moengage.hooks.moengage import MoEngageHook
from airflow_provider_moengage.operations.bulk_endpoint import DEFAULT_MAX_BYTES
from airflow_provider_moengage.operations.unset_attributes import UNSET_ATTRIBUTES, UnsetMapping
from airflow_provider_moengage.operators.base import (
    CHANGED_ONLY_FIELDS,
    DEFAULT_DEFER_THRESHOLD,
    MoEngageSendOperator,
    template_fields,
)
from airflow_provider_moengage.operators.row_sources import RowsParameter
from airflow_provider_moengage.operators.task_arguments import TaskArguments
from airflow_provider_moengage.parameters import check_max_bytes, check_switch


class MoEngageUnsetAttributesOperator(MoEngageSendOperator):
    """
    Unsets attributes of users, one Track User request each or many in a Bulk Import request; MoEngage must have
    enabled that early-access feature.

    Example::

        MoEngageUnsetAttributesOperator(
            task_id="unset_trial",
            sql="select customer_id from customers where trial_ended",
            sql_conn_id="warehouse",
            unset=["trial_end", {"type": "prefix", "attr": "trial_"}],
        )

    :param users: rows, or bare ids.
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
    :param unset: what to unset of every user: attribute names, and rules ``{"type": "prefix", "attr": "tmp_"}`` with a
        ``type`` of ``equals``, ``prefix``, ``suffix`` or ``contains`` and, where wanted, ``case_sensitive``.
    :param unset_column: instead of ``unset``: the column that holds a row's own list of the same.
    :param id_column: the column that identifies the user.
    :param update_existing_only: do not create users that MoEngage does not know.
    :param bulk: pack the users into Bulk Import requests, instead of one request each.
    :param max_bytes: the largest body of one such request.
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

    operation = UNSET_ATTRIBUTES
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
        unset: Sequence[str | Mapping[str, Any]] | None = None,
        unset_column: str | None = None,
        id_column: str = "customer_id",
        update_existing_only: bool = False,
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
        deferrable: bool | None = None,
        defer_threshold: float = DEFAULT_DEFER_THRESHOLD,
        **kwargs: Unpack[TaskArguments],
    ) -> None:
        self.users = users
        super().__init__(
            mapping=UnsetMapping(
                unset=unset,
                unset_column=unset_column,
                id_column=id_column,
                update_existing_only=update_existing_only,
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

    def own_arguments(self) -> dict[str, Any]:
        """Return how the rows go to Bulk Import, if they do."""
        return {"bulk": self.bulk, "max_bytes": self.max_bytes if self.bulk else None}
