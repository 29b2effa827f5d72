"""The operator that reads users back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any, Literal

from typing_extensions import Unpack

from airflow_provider_moengage._compat import Context
from airflow_provider_moengage.api.errors import MoEngageParameterError
from airflow_provider_moengage.delivery.file_systems import storage_path
from airflow_provider_moengage.delivery.read.sources import Source
from airflow_provider_moengage.delivery.report import Report
from airflow_provider_moengage.exceptions import MoEngageTaskFailed
from airflow_provider_moengage.hooks.moengage import MoEngageHook
from airflow_provider_moengage.hooks.options import DeliveryArguments
from airflow_provider_moengage.lineage.names import files_of
from airflow_provider_moengage.operations.get_users import GET_USERS, IdentifierMapping, Missing
from airflow_provider_moengage.operations.user_outputs import FileSink, ListSink, Sink, TableSink, write_ids
from airflow_provider_moengage.operators.base import (
    DEFAULT_DEFER_THRESHOLD,
    MoEngageSendOperator,
    template_fields,
)
from airflow_provider_moengage.operators.row_sources import RowsParameter
from airflow_provider_moengage.operators.task_arguments import TaskArguments
from airflow_provider_moengage.parameters import ON_MISSING, check_one_of, check_whole_number

DEFAULT_XCOM_LIMIT = 100


class MoEngageGetUsersOperator(MoEngageSendOperator):
    """
    Reads users back, twenty per request: into XCom, into one file, or into a table.

    Profiles are personal data: XCom accepts few of them, a file or a table any number. A repeated id is requested
    once; the ids of a run are held in memory.

    Example::

        MoEngageGetUsersOperator(
            task_id="read_back",
            path="s3://lake_conn@lake/customers/ids.csv",
            fields=["plan", "last_order"],
            output_path="s3://lake_conn@lake/moengage/users.parquet",
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
    :param id_column: the column that identifies the user.
    :param identifier_type: ``customer_id``, or ``id`` for the MoEngage id, or ``moengage_id``, its name in another
        edition of MoEngage's documentation.
    :param identifier_type_column: the column that holds which of the three a row's id is.
    :param fields: the attributes to read; None: all that can be exported.
    :param xcom_limit: users that may go into XCom.
    :param output_path: one file as an ``ObjectStoragePath`` URL, NDJSON, CSV or Parquet by its ending, complete or
        absent; templated.
    :param output_table: a table that users are inserted into; its columns are ``fields``.
    :param output_conn_id: the table's database, any connection whose hook is a ``DbApiHook``.
    :param csv_formulas: texts in a CSV file that a spreadsheet would run as a formula, since they begin with ``=``,
        ``+``, ``-`` or ``@``: ``escape`` prefixes them with an apostrophe, ``keep`` writes them unchanged.
    :param missing_path: a file for the ids that MoEngage does not know, ``{"customer_id": …}`` a line, or with
        ``identifier_type_column`` ``{"identifier_type": …, "identifier": …}``; templated.
    :param on_missing: ``fail``: users that MoEngage does not know fail the task, once all others are read.
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
    :return: the report, with ``found`` and ``not_found``; without ``output_path`` and ``output_table`` also ``users``,
        a list of attribute dicts, and ``users_not_found``, a list of ids, or of such objects.
    """

    operation = GET_USERS
    mapping: IdentifierMapping
    resumable = False
    users = RowsParameter()
    template_fields: Sequence[str] = template_fields(
        "users", "output_path", "output_table", "output_conn_id", "missing_path"
    )

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
        identifier_type: Literal["customer_id", "id", "moengage_id"] = "customer_id",
        identifier_type_column: str | None = None,
        fields: Sequence[str] | None = None,
        xcom_limit: int = DEFAULT_XCOM_LIMIT,
        output_path: str | None = None,
        output_table: str | None = None,
        output_conn_id: str | None = None,
        csv_formulas: Literal["escape", "keep"] = "keep",
        missing_path: str | None = None,
        on_missing: Literal["ignore", "fail"] = "ignore",
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
        self.users = users
        super().__init__(
            mapping=IdentifierMapping(
                id_column=id_column,
                identifier_type=identifier_type,
                fields=fields,
                identifier_type_column=identifier_type_column,
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
        self.xcom_limit = xcom_limit
        self.output_path = output_path
        self.output_table = output_table
        self.output_conn_id = output_conn_id
        self.csv_formulas = csv_formulas
        self.missing_path = missing_path
        self.on_missing = on_missing
        check_one_of("on_missing", on_missing, ON_MISSING)
        check_one_of("csv_formulas", csv_formulas, ("escape", "keep"))
        check_whole_number("xcom_limit", xcom_limit, 0)
        if output_path is not None and output_table is not None:
            raise MoEngageParameterError("output_path and output_table are given; use one of them")
        if (output_table is None) != (output_conn_id is None):
            raise MoEngageParameterError(
                "output_table and output_conn_id go together; one of them is missing"
            )
        if output_table is not None and not fields:
            raise MoEngageParameterError("fields is missing; with output_table= it names the table's columns")

    def execute(self, context: Context) -> Report:
        """
        Read the users.

        :raises MoEngageTaskFailed: a retry would not help; it names the reasons.
        :raises MoEngageIncompleteRun: users were left unread; a retry reads them.
        """
        self._sink: Sink = self._new_sink()
        self._not_found: list[Missing] = []
        report = self._run(context)
        if isinstance(self._sink, ListSink):
            return {**report, "users": self._sink.users, "users_not_found": self._not_found}
        return report

    def own_arguments(self) -> dict[str, Any]:
        """Return what happens if MoEngage does not know a user."""
        return {"on_missing": self.on_missing}

    def written_to(self) -> list[tuple[str, str]] | None:
        """Return the file or the table that the users are written to, as lineage names it."""
        from airflow_provider_moengage.lineage.events import known
        from airflow_provider_moengage.lineage.sql import database_of

        if self.output_path:
            return [files_of(str(self.output_path))]
        if not self.output_table:
            return []
        database = known(
            "The database of output_table",
            lambda: database_of("output_conn_id", str(self.output_conn_id)),
            None,
        )
        return [] if database is None else [(database.namespace, database.table_of(str(self.output_table)))]

    def _send(self, hook: MoEngageHook, source: Source, **options: Unpack[DeliveryArguments]) -> Report:
        return hook.get_users(
            source,
            sink=self._sink,
            mapping=self.mapping,
            on_missing_ids=self._keep_missing,
            **self.own_arguments(),
            **options,
        )

    def _keep_missing(self, ids: list[Missing]) -> None:
        self._not_found = ids
        if self.missing_path:
            write_ids(str(self.missing_path), self.mapping.identifier_type, ids)

    def _new_sink(self) -> Sink:
        fields = list(self.mapping.fields or ())
        try:
            if self.missing_path:
                # The file is written last: check its URL before any user is read.
                storage_path(str(self.missing_path), "missing_path")
            if self.output_path:
                return FileSink(str(self.output_path), fields, self.csv_formulas)
            if self.output_table:
                return TableSink(str(self.output_conn_id), str(self.output_table), fields)
            sink = ListSink(self.xcom_limit)
            with suppress(TypeError):
                sink.check(len(self._source()))
        except MoEngageParameterError as error:
            raise MoEngageTaskFailed(str(error)) from None
        return sink
