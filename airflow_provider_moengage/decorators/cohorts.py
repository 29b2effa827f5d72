"""The decorator of functions that return the members of a cohort."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from airflow_provider_moengage._compat import TaskDecorator
from airflow_provider_moengage.decorators.base import MoEngageDecoratedOperator, decorated, decorated_fields
from airflow_provider_moengage.operators.cohorts import MoEngageSyncCohortOperator


class _SyncCohortDecoratedOperator(MoEngageDecoratedOperator, MoEngageSyncCohortOperator):
    custom_operator_name = "@task.moengage_sync_cohort"
    template_fields: Sequence[str] = decorated_fields(MoEngageSyncCohortOperator)


def moengage_sync_cohort_task(
    python_callable: Callable[..., Any] | None = None, **kwargs: Any
) -> TaskDecorator:
    """
    Turn a function that returns or yields users into a task that makes them the members of a cohort: ``@task.moengage_sync_cohort``.

    :param python_callable: the function.
    :param kwargs: parameters of :class:`~airflow_provider_moengage.operators.cohorts.MoEngageSyncCohortOperator`, but for those of its source.
    :raises MoEngageParameterError: an argument belongs to another source of rows, or the function is asynchronous.
    """
    return decorated(_SyncCohortDecoratedOperator, python_callable, kwargs)
