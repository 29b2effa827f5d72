"""Decorators of functions that return users."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from airflow_provider_moengage._compat import TaskDecorator
from airflow_provider_moengage.decorators.base import MoEngageDecoratedOperator, decorated, decorated_fields
from airflow_provider_moengage.operators.track_users import MoEngageTrackUsersOperator
from airflow_provider_moengage.operators.unset_attributes import MoEngageUnsetAttributesOperator


class _TrackUsersDecoratedOperator(MoEngageDecoratedOperator, MoEngageTrackUsersOperator):
    custom_operator_name = "@task.moengage_track_users"
    template_fields: Sequence[str] = decorated_fields(MoEngageTrackUsersOperator)


def moengage_track_users_task(
    python_callable: Callable[..., Any] | None = None, **kwargs: Any
) -> TaskDecorator:
    """
    Turn a function that returns or yields users into a task that creates and updates them: ``@task.moengage_track_users``.

    :param python_callable: the function.
    :param kwargs: parameters of :class:`~airflow_provider_moengage.operators.track_users.MoEngageTrackUsersOperator`, but for those of its source.
    :raises MoEngageParameterError: an argument belongs to another source of rows, or the function is asynchronous.
    """
    return decorated(_TrackUsersDecoratedOperator, python_callable, kwargs)


class _UnsetAttributesDecoratedOperator(MoEngageDecoratedOperator, MoEngageUnsetAttributesOperator):
    custom_operator_name = "@task.moengage_unset_attributes"
    template_fields: Sequence[str] = decorated_fields(MoEngageUnsetAttributesOperator)


def moengage_unset_attributes_task(
    python_callable: Callable[..., Any] | None = None, **kwargs: Any
) -> TaskDecorator:
    """
    Turn a function that returns or yields users into a task that unsets attributes of them: ``@task.moengage_unset_attributes``.

    :param python_callable: the function.
    :param kwargs: parameters of :class:`~airflow_provider_moengage.operators.unset_attributes.MoEngageUnsetAttributesOperator`, but for those of its source.
    :raises MoEngageParameterError: an argument belongs to another source of rows, or the function is asynchronous.
    """
    return decorated(_UnsetAttributesDecoratedOperator, python_callable, kwargs)
