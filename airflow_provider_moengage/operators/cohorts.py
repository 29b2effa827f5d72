"""The operator that makes the members of a cohort those of a query."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Literal

from typing_extensions import Unpack

from airflow_provider_moengage.api.errors import MoEngageParameterError
from airflow_provider_moengage.delivery.changes.changed_only import Removal
from airflow_provider_moengage.hooks.moengage import MoEngageHook
from airflow_provider_moengage.lineage.names import part_of_name
from airflow_provider_moengage.operations.sync_cohort import SYNC_COHORT, MemberMapping
from airflow_provider_moengage.operators.base import (
    CHANGED_ONLY_FIELDS,
    DEFAULT_DEFER_THRESHOLD,
    MoEngageSendOperator,
    template_fields,
)
from airflow_provider_moengage.operators.changes import DEFAULT_MAX_REMOVED
from airflow_provider_moengage.operators.row_sources import RowsParameter
from airflow_provider_moengage.operators.task_arguments import TaskArguments
from airflow_provider_moengage.parameters import check_count_or_share, check_one_of

MODES = ("mirror", "add", "remove")


class MoEngageSyncCohortOperator(MoEngageSendOperator):
    """
    Adds users to a cohort and removes them, so that its members are those of a query, a task or a file.

    ``mirror`` compares with the snapshot of the last run, and sends who is new and who has left; ``add`` sends who is new
    and removes nobody; ``remove`` removes everybody whom the source names. MoEngage knows the members only by what it is
    sent: members that were added in another way stay.

    Example::

        MoEngageSyncCohortOperator(
            task_id="churn_risk",
            sql="select customer_id from scores where churn_risk > 0.8",
            sql_conn_id="warehouse",
            cohort_id="churn-risk",
            cohort_name="Churn risk",
            partner="warehouse",
            snapshot_path="s3://lake_conn@lake/moengage/snapshots",
        )

    :param members: rows, or bare ids.
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
    :param cohort_id: identifies the cohort in MoEngage.
    :param cohort_name: its name in the dashboard, without a dot at the beginning and without any of
        :data:`~airflow_provider_moengage.records.cohorts.NOT_IN_COHORT_NAMES`.
    :param partner: where the members come from, such as the name of the warehouse.
    :param cohort_description: a text for people; None: none is sent.
    :param mode: ``mirror``, ``add`` or ``remove``.
    :param max_removed: if more members have left the source, none is removed, and the task fails once the new ones are added:
        an int is a count, a float below 1 a share of the members in the snapshot.
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
    :param snapshot_path: the folder that keeps fingerprints of what was accepted, as an ``ObjectStoragePath`` URL that all
        workers can reach; None: ``[moengage] snapshot_path``. Templated.
    :param full_resync: send all rows once more, and remove nothing. Templated.
    :param resync_every: of the unchanged rows, send the nth part in each run, so that n runs send all of them.
    :param deferrable: release the worker slot while waiting for a rate window; None: ``[operators]
        default_deferrable``.
    :param defer_threshold: defer the task only for a wait of at least this many seconds.
    :param kwargs: arguments of Airflow's ``BaseOperator``, such as ``task_id`` and ``retries``.
    """

    operation = SYNC_COHORT
    mapping: MemberMapping
    members = RowsParameter()
    template_fields: Sequence[str] = template_fields("members", *CHANGED_ONLY_FIELDS)

    def __init__(
        self,
        *,
        members: Any = None,
        sql: str | None = None,
        sql_conn_id: str | None = None,
        parameters: Sequence[Any] | Mapping[str, Any] | None = None,
        sql_hook_params: Mapping[str, Any] | None = None,
        path: str | None = None,
        encoding: str | None = None,
        delimiter: str | None = None,
        null_values: Sequence[str] | None = None,
        fold_columns: Literal["lower", "upper"] | None = None,
        cohort_id: str,
        cohort_name: str,
        partner: str,
        cohort_description: str | None = None,
        mode: Literal["mirror", "add", "remove"] = "mirror",
        max_removed: float = DEFAULT_MAX_REMOVED,
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
        snapshot_path: str | None = None,
        full_resync: bool | str = False,
        resync_every: int | None = None,
        deferrable: bool | None = None,
        defer_threshold: float = DEFAULT_DEFER_THRESHOLD,
        **kwargs: Unpack[TaskArguments],
    ) -> None:
        check_one_of("mode", mode, MODES)
        if mode == "remove" and (full_resync or resync_every is not None):
            raise MoEngageParameterError(
                "mode is 'remove', which always sends every row; leave out full_resync and resync_every"
            )
        self.members = members
        self.mode = mode
        self.max_removed = max_removed
        mapping = MemberMapping(
            cohort_id,
            cohort_name,
            partner,
            action="remove_members" if mode == "remove" else "add_members",
            cohort_description=cohort_description,
            id_column=id_column,
        )
        super().__init__(
            mapping=mapping,
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
            changed_only=mode != "remove",
            snapshot_path=snapshot_path,
            full_resync=full_resync,
            resync_every=resync_every,
            deferrable=deferrable,
            defer_threshold=defer_threshold,
            **kwargs,
        )
        check_count_or_share("max_removed", max_removed, "members")

    def removal(self) -> Removal | None:
        """Return what happens to members who have left the source; None: nothing."""
        if self.mode != "mirror":
            return None
        mapping = replace(self.mapping, action="remove_members", id_column="customer_id")
        return Removal(SYNC_COHORT, mapping, lambda user: user)

    def target(self) -> str:
        """Return what identifies the cohort."""
        return f"{self.mapping.partner}\n{self.mapping.cohort_id}"

    def datasets(self) -> tuple[str, ...]:
        """Return the cohort, as lineage names it."""
        return (f"cohorts/{part_of_name(self.mapping.cohort_id)}",)
