"""Names that moved between Airflow 2.11 and 3.x; one try a name, because they moved in different versions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NoReturn

if TYPE_CHECKING:
    # Airflow types these unevenly from version to version; here is what this package uses of them.
    import logging
    from collections.abc import Callable, MutableMapping, Sequence
    from datetime import datetime, timedelta

    Context = MutableMapping[str, Any]

    class BaseHook:
        log: logging.Logger

        def __init__(self, logger_name: str | None = None) -> None: ...
        @classmethod
        def get_connection(cls, conn_id: str) -> Any: ...

    class BaseOperator:
        task_id: str
        log: logging.Logger
        template_fields: Sequence[str]
        template_ext: Sequence[str]
        template_fields_renderers: dict[str, str]
        retries: int | None

        def __init__(self, **kwargs: Any) -> None: ...
        def defer(self, *, trigger: Any, method_name: str) -> NoReturn: ...
        def on_kill(self) -> None: ...

    class AirflowException(Exception): ...

    class AirflowFailException(AirflowException): ...

    class AirflowNotFoundException(AirflowException): ...

    class AirflowSkipException(AirflowException): ...

    class DateTimeTrigger:
        def __init__(self, moment: datetime) -> None: ...

    class conf:
        @staticmethod
        def get(section: str, key: str, *, fallback: str | None = None) -> str | None: ...
        @staticmethod
        def getboolean(section: str, key: str, *, fallback: bool = False) -> bool: ...

    class RetryDecision:
        @classmethod
        def default(cls) -> RetryDecision: ...
        @classmethod
        def fail(cls, reason: str | None = None) -> RetryDecision: ...
        @classmethod
        def retry(cls, delay: timedelta | None = None, reason: str | None = None) -> RetryDecision: ...

    class RetryPolicy: ...

    class Stats:
        @staticmethod
        def incr(stat: str, count: int = 1, *, tags: dict[str, str] | None = None) -> None: ...

    mask_secret: Callable[[str], None]
else:
    try:
        from airflow.sdk.bases.hook import BaseHook
    except ImportError:
        from airflow.hooks.base import BaseHook
    try:
        from airflow.sdk import BaseOperator
    except ImportError:
        from airflow.models.baseoperator import BaseOperator
    try:
        from airflow.sdk import Context
    except ImportError:
        from airflow.utils.context import Context
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
        # Airflow 3.3 brought them.
        RetryDecision, RetryPolicy = None, object
    try:
        from airflow.sdk.observability.stats import Stats
    except ImportError:
        from airflow.stats import Stats
    try:
        from airflow.sdk.log import mask_secret
    except ImportError:
        from airflow.utils.log.secrets_masker import mask_secret


def object_storage_path(url: str) -> Any:
    """Open an ``ObjectStoragePath``; imported at use, because it brings fsspec with it."""
    try:
        from airflow.sdk import ObjectStoragePath
    except ImportError:
        from airflow.io.path import ObjectStoragePath
    return ObjectStoragePath(url)


__all__ = [
    "AirflowException",
    "AirflowFailException",
    "AirflowNotFoundException",
    "AirflowSkipException",
    "BaseHook",
    "BaseOperator",
    "Context",
    "DateTimeTrigger",
    "RetryDecision",
    "RetryPolicy",
    "Stats",
    "conf",
    "mask_secret",
    "object_storage_path",
]
