"""The decorator of functions that return events."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from airflow_provider_moengage._compat import TaskDecorator
from airflow_provider_moengage.decorators.base import MoEngageDecoratedOperator, decorated, decorated_fields
from airflow_provider_moengage.operators.events import MoEngageTrackEventsOperator


class _TrackEventsDecoratedOperator(MoEngageDecoratedOperator, MoEngageTrackEventsOperator):
    custom_operator_name = "@task.moengage_track_events"
    template_fields: Sequence[str] = decorated_fields(MoEngageTrackEventsOperator)


def moengage_track_events_task(
    python_callable: Callable[..., Any] | None = None, **kwargs: Any
) -> TaskDecorator:
    """
    Turn a function that returns or yields events into a task that sends them: ``@task.moengage_track_events``.

    :param python_callable: the function.
    :param kwargs: parameters of :class:`~airflow_provider_moengage.operators.events.MoEngageTrackEventsOperator`, but for those of its source.
    :raises MoEngageParameterError: an argument belongs to another source of rows, or the function is asynchronous.
    """
    return decorated(_TrackEventsDecoratedOperator, python_callable, kwargs)
