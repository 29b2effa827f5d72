"""The source of an operator's rows: its own parameter, a query or files."""

from __future__ import annotations

from typing import Any

from airflow_provider_moengage._compat import conf
from airflow_provider_moengage.api.errors import MoEngageParameterError
from airflow_provider_moengage.delivery.read.file_options import MAX_LINE_BYTES, FileOptions
from airflow_provider_moengage.delivery.read.files import FileSource
from airflow_provider_moengage.delivery.read.function_rows import FunctionRows
from airflow_provider_moengage.delivery.read.sources import Named, Rows, Source, is_source
from airflow_provider_moengage.delivery.read.sql import SqlSource
from airflow_provider_moengage.delivery.shape.column_names import ColumnNames
from airflow_provider_moengage.delivery.shape.not_rows import of_empty_text, of_nothing

#: The parameters that apply to one kind of source only.
OF_SOURCES = {
    "sql": ("sql_conn_id", "parameters", "sql_hook_params"),
    "path": ("encoding", "delimiter", "null_values"),
}


class RowsParameter:
    """
    Descriptor of the parameter that accepts rows; it wraps lists in :class:`Rows` on assignment, so that Airflow
    neither renders nor shows them.

    The first string assigned is a template; rendering assigns the rendered one.
    """

    def __set_name__(self, owner: type, name: str) -> None:
        self.name = name
        self._attribute = f"_{name}"

    def __get__(self, instance: Any, owner: type) -> Any:
        return self if instance is None else instance.__dict__.get(self._attribute)

    def __set__(self, instance: Any, value: object) -> None:
        first = self._attribute not in instance.__dict__
        # An upstream task's output has ``resolve``; Airflow calls it and assigns the result.
        if (
            value is None
            or is_source(value)
            or hasattr(value, "resolve")
            or (isinstance(value, str) and first)
        ):
            rows = value
        else:
            rows = Rows(value, self.name)
        instance.__dict__[self._attribute] = rows


def check_source(operator: Any) -> str:
    """
    Check that an operator has exactly one source of rows, and return the parameter that names it.

    :raises MoEngageParameterError: it has none or several, or a parameter belongs to another source.
    """
    given = {
        name: getattr(operator, name)
        for name in (operator.operation.rows, "sql", "path")
        if getattr(operator, name) is not None
    }
    if len(given) != 1:
        raise MoEngageParameterError(
            f"{'no source of rows is' if not given else ' and '.join(given) + ' are'} given; use exactly one of "
            f"{operator.operation.rows}=, sql= (with sql_conn_id=) and path="
        )
    if operator.sql is not None and not operator.sql_conn_id:
        raise MoEngageParameterError("sql_conn_id is missing; set it to the connection that runs sql=")
    (parameter,) = given
    for source, names in OF_SOURCES.items():
        extra = [name for name in names if getattr(operator, name) is not None]
        if extra and getattr(operator, source) is None:
            raise MoEngageParameterError(f"{extra[0]} is given without {source}; it belongs to {source}=")
    FileOptions(operator.encoding, operator.delimiter, operator.null_values)
    return parameter


def source_of(operator: Any, parameter: str) -> Source:
    """
    Return the source of an operator's rows.

    :param parameter: as :func:`check_source` returns it.
    :raises MoEngageParameterError: a template rendered to nothing.
    """
    value = getattr(operator, parameter)
    if parameter in OF_SOURCES:
        nothing = of_empty_text(parameter, value)
    else:
        nothing = of_nothing(parameter) if value is None else None
    if nothing is not None:
        raise MoEngageParameterError(nothing)
    names = ColumnNames(operator.fold_columns)
    if parameter == "path":
        return FileSource(
            str(value),
            encoding=operator.encoding,
            delimiter=operator.delimiter,
            null_values=operator.null_values,
            max_line_bytes=_max_line_bytes(),
            names=names,
        )
    if parameter == "sql":
        return SqlSource(
            str(operator.sql_conn_id), value, operator.parameters, operator.sql_hook_params, names=names
        )
    if is_source(value):
        return value.named(names) if isinstance(value, (Rows, FunctionRows)) else Named(value, names)
    return Rows(value, parameter, names)


def _max_line_bytes() -> int:
    """
    Return the deployment's maximum length of a line of a file, in bytes.

    :raises MoEngageParameterError: the configured value is not a number.
    """
    configured = conf.get("moengage", "max_line_bytes", fallback=None)
    try:
        return MAX_LINE_BYTES if configured is None else int(configured)
    except ValueError:
        raise MoEngageParameterError(
            f"[moengage] max_line_bytes of Airflow's configuration is {configured!r}; use a whole number of bytes from 1"
        ) from None
