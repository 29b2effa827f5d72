"""Names that moved between Airflow 2.11 and 3.x; each is imported on its own, as they moved in different versions."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    # Type checkers see Airflow 3's own classes.
    from airflow.providers.standard.triggers.temporal import DateTimeTrigger
    from airflow.sdk import (
        Asset,
        BaseHook,
        BaseOperator,
        BaseOperatorLink,
        BaseSensorOperator,
        Context,
        PokeReturnValue,
    )
    from airflow.sdk.bases.decorator import (
        DecoratedOperator,
        TaskDecorator,
        determine_kwargs,
        task_decorator_factory,
    )
    from airflow.sdk.configuration import conf
    from airflow.sdk.definitions.retry_policy import RetryDecision, RetryPolicy
    from airflow.sdk.exceptions import (
        AirflowException,
        AirflowFailException,
        AirflowNotFoundException,
        AirflowSensorTimeout,
        AirflowSkipException,
    )
    from airflow.sdk.log import mask_secret
    from airflow.sdk.observability.stats import Stats
else:
    try:
        from airflow.sdk import Asset
    except ImportError:
        from airflow.datasets import Dataset as Asset
    try:
        from airflow.sdk.bases.hook import BaseHook
    except ImportError:
        from airflow.hooks.base import BaseHook
    try:
        from airflow.sdk import BaseOperator
    except ImportError:
        from airflow.models.baseoperator import BaseOperator
    try:
        from airflow.sdk import BaseOperatorLink
    except ImportError:
        from airflow.models.baseoperatorlink import BaseOperatorLink
    try:
        from airflow.sdk import BaseSensorOperator
    except ImportError:
        from airflow.sensors.base import BaseSensorOperator
    try:
        from airflow.sdk import Context
    except ImportError:
        from airflow.utils.context import Context
    try:
        from airflow.sdk import PokeReturnValue
    except ImportError:
        from airflow.sensors.base import PokeReturnValue
    try:
        from airflow.sdk.exceptions import AirflowException
    except ImportError:
        from airflow.exceptions import AirflowException
    try:
        from airflow.sdk.exceptions import AirflowFailException
    except ImportError:
        from airflow.exceptions import AirflowFailException
    try:
        from airflow.sdk.exceptions import AirflowNotFoundException
    except ImportError:
        from airflow.exceptions import AirflowNotFoundException
    try:
        from airflow.sdk.exceptions import AirflowSensorTimeout
    except ImportError:
        from airflow.exceptions import AirflowSensorTimeout
    try:
        from airflow.sdk.exceptions import AirflowSkipException
    except ImportError:
        from airflow.exceptions import AirflowSkipException
    try:
        from airflow.sdk.configuration import conf
    except ImportError:
        from airflow.configuration import conf
    try:
        from airflow.providers.standard.triggers.temporal import DateTimeTrigger
    except ImportError:
        from airflow.triggers.temporal import DateTimeTrigger
    try:
        from airflow.sdk.definitions.retry_policy import RetryDecision, RetryPolicy
    except ImportError:
        # New in Airflow 3.3.
        RetryDecision, RetryPolicy = None, object
    try:
        from airflow.sdk.observability.stats import Stats
    except ImportError:
        from airflow.stats import Stats
    try:
        from airflow.sdk.log import mask_secret
    except ImportError:
        from airflow.utils.log.secrets_masker import mask_secret

    #: Names that only decorators need, imported on use: on Airflow 2.11 they cost a tenth of a second.
    _OF_DECORATORS = frozenset(
        {"DecoratedOperator", "TaskDecorator", "determine_kwargs", "task_decorator_factory"}
    )

    def __getattr__(name: str) -> Any:
        """Return a name that only decorators need."""
        if name not in _OF_DECORATORS:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        try:
            from airflow.sdk.bases import decorator as module
        except ImportError:
            if name == "determine_kwargs":
                from airflow.utils import operator_helpers as module
            else:
                from airflow.decorators import base as module
        return getattr(module, name)


def threads_may_push() -> bool:
    """
    Whether several threads of a task may talk to Airflow at the same time.

    On Airflow 3.0 and 3.1, and in ``dag.test()``, one would receive the response to another.
    """
    # Not imported for this: where it is not loaded, nobody talks to a supervisor.
    task_runner = sys.modules.get("airflow.sdk.execution_time.task_runner")
    comms = getattr(task_runner, "SUPERVISOR_COMMS", None)
    return comms is None or hasattr(comms, "_thread_lock")


def object_storage_path(url: str) -> Any:
    """Return an ``ObjectStoragePath``; imported on use, because it imports fsspec."""
    try:
        from airflow.sdk import ObjectStoragePath
    except ImportError:
        from airflow.io.path import ObjectStoragePath  # type: ignore[no-redef]
    return ObjectStoragePath(url)


__all__ = [
    "AirflowException",
    "AirflowFailException",
    "AirflowNotFoundException",
    "AirflowSensorTimeout",
    "AirflowSkipException",
    "Asset",
    "BaseHook",
    "BaseOperator",
    "BaseOperatorLink",
    "BaseSensorOperator",
    "Context",
    "DateTimeTrigger",
    "DecoratedOperator",
    "PokeReturnValue",
    "RetryDecision",
    "RetryPolicy",
    "Stats",
    "TaskDecorator",
    "conf",
    "determine_kwargs",
    "mask_secret",
    "object_storage_path",
    "task_decorator_factory",
    "threads_may_push",
]
