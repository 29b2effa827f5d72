"""Builds what OpenLineage's events have of a task: inputs, outputs, counts, and which attribute is read from which column."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

from airflow_provider_moengage._compat import conf
from airflow_provider_moengage.api.errors import MoEngageError
from airflow_provider_moengage.delivery.report import Report
from airflow_provider_moengage.hooks.moengage import MoEngageHook
from airflow_provider_moengage.hooks.outcome import are_too_many_rejected
from airflow_provider_moengage.lineage.names import files_of, name_in, namespace_of
from airflow_provider_moengage.lineage.sql import Column, QueryLineage, database_of, query_lineage

log = logging.getLogger(__name__)

#: Namespace and name of a dataset.
Name = tuple[str, str]
T = TypeVar("T")


def lineage_of(operator: Any, report: Report | None = None) -> Any:
    """
    Return the lineage of an operator as OpenLineage's listener expects it.

    :param operator: a :class:`~airflow_provider_moengage.operators.base.MoEngageSendOperator`.
    :param report: the counts of its run; None: it has none yet.
    """
    from airflow.providers.openlineage.extractors import OperatorLineage
    from openlineage.client.event_v2 import InputDataset, OutputDataset

    tables, columns = _source_of(operator)
    moengage = _moengage_datasets(operator)
    written_to = operator.written_to()
    if written_to is None:
        inputs, outputs = tables, moengage
        fields = _read_fields(operator, columns)
        count = "accepted"
    else:
        inputs, outputs = [*moengage, *tables], written_to
        fields = {name: [(*moengage[0], name)] for name in operator.mapping.fields or ()} if moengage else {}
        count = "found"
    # The rows of Bulk Import are of several datasets, and are not counted by them.
    rows: Any = report.get(count) if report is not None and len(outputs) == 1 else None
    return OperatorLineage(
        inputs=[InputDataset(*name) for name in inputs],
        outputs=[
            OutputDataset(*name, facets=_facets(operator, fields, report), outputFacets=_statistics(rows))
            for name in outputs
        ],
        job_facets=_job_facets(operator),
    )


def _source_of(operator: Any) -> tuple[Sequence[Name], Mapping[str, Sequence[Column]] | None]:
    """
    Return the datasets that an operator's rows come from, and column → where its values come from.

    :return: None for the columns: the source's columns are not known, and those that the operator names are its own.
    """
    if operator.path is not None:
        return [files_of(str(operator.path))], None
    if operator.sql is None:
        return [], {}
    query = known("What sql reads", lambda: _query_of(operator), QueryLineage())
    if query.is_combined and getattr(operator.mapping, "attributes", None) is None:
        return query.tables, {}
    fold = {"lower": str.lower, "upper": str.upper}.get(operator.fold_columns, str)
    return query.tables, {fold(name): read for name, read in query.columns.items()}


def _query_of(operator: Any) -> QueryLineage:
    database = database_of("sql_conn_id", str(operator.sql_conn_id), operator.sql_hook_params)
    return query_lineage(str(operator.sql), operator.parameters, database)


def known(what: str, look: Callable[[], T], otherwise: T) -> T:
    """
    Return a part of an event; an error in it must not cost the event its other parts.

    :param what: the part, as the beginning of a sentence.
    :param look: returns it. It asks hooks and secrets backends, which may raise anything.
    :param otherwise: what to return if it raises.
    """
    try:
        return look()
    except MoEngageError as error:
        log.info("%s is not known: %s", what, error)
    except Exception as error:
        log.info("%s is not known: %s", what, type(error).__name__)
    return otherwise


def _read_fields(
    operator: Any, columns: Mapping[str, Sequence[Column]] | None
) -> Mapping[str, Sequence[Column]]:
    """Return field of a record → the columns that it is read from."""
    if columns is None:
        file = files_of(str(operator.path))
        return {field: [(*file, column)] for field, column in operator.mapping.fields_from(()).items()}
    # As drivers and databases may spell them in another case than the query.
    spelled = {name.lower(): read for name, read in columns.items()}
    return {
        field: read
        for field, column in operator.mapping.fields_from(tuple(columns)).items()
        if (read := columns.get(column) or spelled.get(column.lower()))
    }


def _moengage_datasets(operator: Any) -> Sequence[Name]:
    def look() -> Sequence[Name]:
        workspace = MoEngageHook(operator.moengage_conn_id, project_code=operator.project_code).workspace
        return [(namespace_of(workspace), name_in(workspace, dataset)) for dataset in operator.datasets()]

    return known("The workspace", look, [])


def _facets(operator: Any, fields: Mapping[str, Sequence[Column]], report: Report | None) -> dict[str, Any]:
    from openlineage.client.facet_v2 import column_lineage_dataset, schema_dataset

    facets: dict[str, Any] = {}
    if fields:
        facets["schema"] = schema_dataset.SchemaDatasetFacet(
            fields=[schema_dataset.SchemaDatasetFacetFields(name=field) for field in fields]
        )
        facets["columnLineage"] = column_lineage_dataset.ColumnLineageDatasetFacet(
            fields={
                field: column_lineage_dataset.Fields(
                    inputFields=[column_lineage_dataset.InputField(*column) for column in read]
                )
                for field, read in fields.items()
            }
        )
    if report is not None:
        facets["dataQualityAssertions"] = _assertions(report, operator.max_rejected)
    return facets


def _statistics(rows: int | None) -> dict[str, Any]:
    from openlineage.client.facet_v2 import output_statistics_output_dataset

    if rows is None:
        return {}
    facet = output_statistics_output_dataset.OutputStatisticsOutputDatasetFacet(rowCount=rows)
    return {"outputStatistics": facet}


def _assertions(report: Report, max_rejected: float) -> Any:
    from attr import fields_dict
    from openlineage.client.facet_v2 import data_quality_assertions_dataset

    kind = data_quality_assertions_dataset.Assertion
    values = {
        "assertion": "max_rejected",
        "success": not are_too_many_rejected(report, max_rejected),
        "expected": str(max_rejected),
        "actual": str(report["rejected"]),
    }
    # Older clients know of the first two only.
    known = {name: value for name, value in values.items() if name in fields_dict(kind)}
    return data_quality_assertions_dataset.DataQualityAssertionsDatasetFacet(assertions=[kind(**known)])


def _job_facets(operator: Any) -> dict[str, Any]:
    from openlineage.client.facet_v2 import sql_job

    # Texts of a query may be somebody's, so the deployment decides.
    if operator.sql is None or not conf.getboolean("moengage", "lineage_sql", fallback=False):
        return {}
    return {"sql": sql_job.SQLJobFacet(query=str(operator.sql))}
