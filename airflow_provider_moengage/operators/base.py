"""The base class of all operators: the parameters that they share."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from typing_extensions import Unpack

from airflow_provider_moengage._compat import Context
from airflow_provider_moengage.api.errors import MoEngageParameterError
from airflow_provider_moengage.delivery.changes.changed_only import Removal
from airflow_provider_moengage.delivery.operation import RowMapping
from airflow_provider_moengage.delivery.read.sources import Source
from airflow_provider_moengage.delivery.report import Report
from airflow_provider_moengage.delivery.send.cancellation import Cancellation
from airflow_provider_moengage.delivery.shape.column_names import FOLDS
from airflow_provider_moengage.hooks.moengage import MoEngageHook
from airflow_provider_moengage.hooks.options import DeliveryArguments
from airflow_provider_moengage.operators.changes import check_changes
from airflow_provider_moengage.operators.row_sources import check_source, source_of
from airflow_provider_moengage.operators.shown_operator import ShownOperator
from airflow_provider_moengage.operators.task_arguments import TaskArguments
from airflow_provider_moengage.operators.task_run import TaskRun
from airflow_provider_moengage.parameters import (
    MAX_CONCURRENCY,
    check_count_or_share,
    check_one_of,
    check_seconds,
    check_switch,
    check_whole_number,
)

#: Seconds: a shorter wait is not worth a deferral, which starts a new process.
DEFAULT_DEFER_THRESHOLD = 15.0
#: Templated fields of the operators that may send only what has changed.
CHANGED_ONLY_FIELDS = ("snapshot_path", "full_resync")
ON_EMPTY = ("success", "skip", "fail")


def template_fields(rows_parameter: str, *more: str) -> tuple[str, ...]:
    """
    Return the templated fields of an operator.

    :param rows_parameter: the parameter that accepts rows.
    :param more: fields that are templated in this operator only.
    """
    return (
        "moengage_conn_id",
        rows_parameter,
        "sql",
        "sql_conn_id",
        "parameters",
        "path",
        "rejected_path",
        "staging_path",
        "project_code",
        *more,
    )


class MoEngageSendOperator(ShownOperator):
    """
    Reads rows from exactly one source, sends them, and accounts for every row.

    :param mapping: turns rows into records; an operator builds it from parameters of its own.
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
    :return: the report, which is also pushed under the XCom key ``report``, however the task ends.
    """

    #: Whether an attempt can resume where the previous one ended.
    resumable = True
    template_ext: Sequence[str] = (".sql",)
    template_fields_renderers = {"sql": "sql", "parameters": "json"}

    def __init__(
        self,
        *,
        mapping: RowMapping,
        sql: str | None = None,
        sql_conn_id: str | None = None,
        parameters: Sequence[Any] | Mapping[str, Any] | None = None,
        sql_hook_params: Mapping[str, Any] | None = None,
        path: str | None = None,
        encoding: str | None = None,
        delimiter: str | None = None,
        null_values: Sequence[str] | None = None,
        fold_columns: Literal["lower", "upper"] | None = None,
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
        super().__init__(**kwargs)
        self.mapping = mapping
        self.moengage_conn_id = moengage_conn_id
        self.sql = sql
        self.sql_conn_id = sql_conn_id
        self.parameters = parameters
        self.sql_hook_params = sql_hook_params
        self.path = path
        self.encoding = encoding
        self.delimiter = delimiter
        self.null_values = null_values
        self.fold_columns = fold_columns
        self.concurrency = concurrency
        self.max_rejected = max_rejected
        self.rejected_path = rejected_path
        self.project_code = project_code
        self.on_empty = on_empty
        self.validate_only = validate_only
        self.staging_path = staging_path
        self.durable = durable
        self.changed_only = changed_only
        self.snapshot_path = snapshot_path
        self.full_resync = full_resync
        self.resync_every = resync_every
        self.deferrable = deferrable
        self.defer_threshold = defer_threshold
        self._cancellation: Cancellation | None = None
        self.source_parameter = check_source(self)
        check_one_of("fold_columns", fold_columns, FOLDS, optional=True)
        check_whole_number("concurrency", concurrency, 1, MAX_CONCURRENCY, optional=True)
        check_count_or_share("max_rejected", max_rejected)
        check_one_of("on_empty", on_empty, ON_EMPTY)
        check_switch("validate_only", validate_only)
        self._check_durability()
        check_changes(self)

    def execute(self, context: Context) -> Report:
        """
        Deliver the rows; a retry resumes where the previous attempt ended.

        :raises MoEngageTaskFailed: a retry would not help; it names the reasons.
        :raises MoEngageIncompleteRun: rows were left unsent; a retry sends them.
        """
        return self._run(context)

    def resume(self, context: Context, event: object = None) -> Report:
        """Resume after a deferral, once the rate window has reset. Result and errors as :meth:`execute`."""
        return self._run(context, deferred=True)

    def on_kill(self) -> None:
        """Cancel the run: requests in flight settle within three seconds, and a retry resumes from there."""
        if self._cancellation is not None:
            self._cancellation.cancel()

    def _run(self, context: Context, *, deferred: bool = False) -> Report:
        self._cancellation = Cancellation()
        run = TaskRun(self, context, send=self._send, cancellation=self._cancellation, deferred=deferred)
        return run.run()

    def own_arguments(self) -> dict[str, Any]:
        """Return the arguments that this operator passes to the hook and others do not, by their names."""
        return {}

    def compared(self) -> dict[str, Any]:
        """Return what else affects the rows, by name: a retry that finds it changed starts over."""
        return {}

    def removal(self) -> Removal | None:
        """Return what happens to records that have left the source, with ``changed_only``; None: nothing."""
        return None

    def target(self) -> str:
        """Return what of MoEngage the rows are sent to, where the operation does not say it."""
        return ""

    def _send(self, hook: MoEngageHook, source: Source, **options: Unpack[DeliveryArguments]) -> Report:
        return hook.deliver(self.operation, source, mapping=self.mapping, **self.own_arguments(), **options)

    def _check_durability(self) -> None:
        check_switch("durable", self.durable)
        check_switch("deferrable", self.deferrable, optional=True)
        check_seconds("defer_threshold", self.defer_threshold)
        if self.deferrable and not self.resumable:
            raise MoEngageParameterError(
                f"deferrable is True, but {type(self).__name__} keeps what it reads in its process; leave it out"
            )
        if self.deferrable and not self.durable:
            raise MoEngageParameterError(
                "deferrable is True and durable is False; a deferred task resumes from its checkpoint, so leave "
                "durable as it is"
            )

    def _source(self) -> Source:
        return source_of(self, self.source_parameter)
