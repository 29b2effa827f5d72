"""The decorator of functions that return elements of Bulk Import."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from airflow_provider_moengage._compat import TaskDecorator
from airflow_provider_moengage.decorators.base import MoEngageDecoratedOperator, decorated, decorated_fields
from airflow_provider_moengage.operators.bulk import MoEngageBulkImportOperator


class _BulkImportDecoratedOperator(MoEngageDecoratedOperator, MoEngageBulkImportOperator):
    custom_operator_name = "@task.moengage_bulk_import"
    template_fields: Sequence[str] = decorated_fields(MoEngageBulkImportOperator)


def moengage_bulk_import_task(
    python_callable: Callable[..., Any] | None = None, **kwargs: Any
) -> TaskDecorator:
    """
    Turn a function that returns or yields users, events and devices into a task that sends them to Bulk Import: ``@task.moengage_bulk_import``.

    :param python_callable: the function.
    :param kwargs: parameters of :class:`~airflow_provider_moengage.operators.bulk.MoEngageBulkImportOperator`, but for those of its source.
    :raises MoEngageParameterError: an argument belongs to another source of rows, or the function is asynchronous.
    """
    return decorated(_BulkImportDecoratedOperator, python_callable, kwargs)
