"""The operator that reads users back."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from typing import Any, Literal

from airflow_provider_moengage._compat import Context
from airflow_provider_moengage.api.errors import MoEngageParameterError
from airflow_provider_moengage.delivery.file_systems import storage_path
from airflow_provider_moengage.delivery.ids import IdentifierMapping, Missing
from airflow_provider_moengage.delivery.sinks import FileSink, ListSink, Sink, TableSink, write_ids
from airflow_provider_moengage.delivery.sources import Source
from airflow_provider_moengage.exceptions import MoEngageTaskFailed
from airflow_provider_moengage.hooks.moengage import MoEngageHook
from airflow_provider_moengage.operators.base import (
    MoEngageSendOperator,
    RowsParameter,
    check_on_missing,
    template_fields,
)

DEFAULT_XCOM_LIMIT = 100


class MoEngageGetUsersOperator(MoEngageSendOperator):
    """
    Reads users back, twenty a call: into XCom, into one file, or into a table.

    Profiles are personal: XCom takes few of them, a file or a table any number. An id that comes again is asked for
    once; the ids of a run are remembered.

    :param users: rows, or bare ids.
    :param id_column: the column that identifies the user.
    :param identifier_type: ``customer_id``, or ``id`` for the MoEngage id, or ``moengage_id``, as another edition of
        MoEngage's documentation calls the same.
    :param identifier_type_column: the column that holds which of the three a row's id is.
    :param fields: the attributes to read; None: all that can be exported.
    :param xcom_limit: users that may go into XCom.
    :param output_path: one file as an ``ObjectStoragePath`` URL, NDJSON, CSV or Parquet by its ending, complete or
        absent; templated.
    :param output_table: a table that users are inserted into; its columns are ``fields``.
    :param output_conn_id: the table's database, any connection whose hook is a ``DbApiHook``.
    :param csv_formulas: texts of a CSV that a spreadsheet would run as a formula, since they begin with ``=``, ``+``,
        ``-`` or ``@``: ``escape`` puts an apostrophe in front of them, ``keep`` writes them as they are.
    :param missing_path: a file for the ids that MoEngage does not know, ``{"customer_id": …}`` a line, or with
        ``identifier_type_column`` ``{"identifier_type": …, "identifier": …}``; templated.
    :param on_missing: ``fail``: users that MoEngage does not know fail the task, once all others are read.
    :return: the report, with ``found`` and ``not_found``; without ``output_path`` and ``output_table`` also ``users``,
        a list of attribute dicts, and ``users_not_found``, a list of ids, or of such objects.
    """

    rows_parameter = "users"
    resumable = False
    users = RowsParameter()
    template_fields: Sequence[str] = template_fields(
        "users", "output_path", "output_table", "output_conn_id", "missing_path"
    )

    def __init__(
        self,
        *,
        users: Any = None,
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
        **kwargs: Any,
    ) -> None:
        self.users = users
        super().__init__(**kwargs)
        self.id_column = id_column
        self.identifier_type = identifier_type
        self.identifier_type_column = identifier_type_column
        self.fields = fields
        self.xcom_limit = xcom_limit
        self.output_path = output_path
        self.output_table = output_table
        self.output_conn_id = output_conn_id
        self.csv_formulas = csv_formulas
        self.missing_path = missing_path
        self.on_missing = on_missing
        check_on_missing(on_missing)
        if csv_formulas not in ("escape", "keep"):
            raise MoEngageParameterError(f"csv_formulas is {csv_formulas!r}; use 'escape' or 'keep'")
        if isinstance(xcom_limit, bool) or not isinstance(xcom_limit, int) or xcom_limit < 0:
            raise MoEngageParameterError(f"xcom_limit is {xcom_limit!r}; use a whole number from 0")
        if output_path is not None and output_table is not None:
            raise MoEngageParameterError("output_path and output_table are given; use one of them")
        if (output_table is None) != (output_conn_id is None):
            raise MoEngageParameterError(
                "output_table and output_conn_id go together; one of them is missing"
            )
        if output_table is not None and not fields:
            raise MoEngageParameterError("fields is missing; with output_table= it names the table's columns")
        self._mapping()

    def execute(self, context: Context) -> dict[str, Any]:
        """
        Read the users.

        :raises MoEngageTaskFailed: a retry would not mend it; it names the reasons.
        :raises MoEngageIncompleteRun: users were left unread; a retry reads them.
        """
        self._sink: Sink = self._new_sink()
        self._not_found: list[Missing] = []
        report = self._run(context)
        if isinstance(self._sink, ListSink):
            return {**report, "users": self._sink.users, "users_not_found": self._not_found}
        return report

    def _send(self, hook: MoEngageHook, source: Source, **delivery: Any) -> dict[str, Any]:
        return hook.get_users(
            source,
            sink=self._sink,
            mapping=self._mapping(),
            on_missing=self.on_missing,
            on_missing_ids=self._keep_missing,
            **delivery,
        )

    def _keep_missing(self, ids: list[Missing]) -> None:
        self._not_found = ids
        if self.missing_path:
            write_ids(str(self.missing_path), self.identifier_type, ids)

    def _new_sink(self) -> Sink:
        try:
            if self.missing_path:
                # It is written last, and a mistake in it must not cost the run.
                storage_path(str(self.missing_path), "missing_path")
            if self.output_path:
                return FileSink(str(self.output_path), list(self.fields or ()), self.csv_formulas)
            if self.output_table:
                return TableSink(str(self.output_conn_id), str(self.output_table), list(self.fields or ()))
            sink = ListSink(self.xcom_limit)
            with suppress(TypeError):
                sink.check(len(self._source()))
        except MoEngageParameterError as error:
            raise MoEngageTaskFailed(str(error)) from None
        return sink

    def _mapping(self) -> IdentifierMapping:
        return IdentifierMapping(
            self.id_column, self.identifier_type, self.fields, self.identifier_type_column
        )
