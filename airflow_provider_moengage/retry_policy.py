"""A retry policy for tasks that MoEngage, the network or the parameters failed; for Airflow 3.3 and newer."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from airflow_provider_moengage._compat import RetryDecision, RetryPolicy
from airflow_provider_moengage.api.errors import (
    MoEngageError,
    MoEngageParameterError,
    MoEngageRateLimited,
    MoEngageRetryableError,
)
from airflow_provider_moengage.exceptions import MoEngageIncompleteRun, MoEngageTaskFailed
from airflow_provider_moengage.hooks.outcome import HOPELESS

#: Resets are published in whole seconds and may be rounded down: a retry that starts early would only wait in its
#: worker.
SLACK = timedelta(seconds=1)
#: Windows last a minute. A longer wait comes from an undocumented header, which must not delay a task for days.
LONGEST_DELAY = timedelta(hours=1)


def moengage_retry_policy() -> MoEngageRetryPolicy:
    """
    Return a policy for ``retry_policy=`` of a task that sends requests to MoEngage: an operator of this package, or
    your own task that uses its hook.

    :raises MoEngageParameterError: this Airflow is older than 3.3.
    """
    if RetryDecision is None:
        raise MoEngageParameterError(
            "moengage_retry_policy() needs Airflow 3.3 or newer; leave retry_policy out. Older versions decide by "
            "the exception alone: MoEngageTaskFailed is never retried, MoEngageIncompleteRun is retried after the "
            "task's retry_delay"
        )
    return MoEngageRetryPolicy()


class MoEngageRetryPolicy(RetryPolicy):
    """
    Decides by the exception that failed the task; for a :class:`MoEngageIncompleteRun`, by its cause.

    After an exhausted rate window the task is retried when the window resets; after a failure of servers or the
    network when the response says so, but not before its own ``retry_delay``. With rejected credentials, requests,
    parameters or rows it fails at once. Any other exception is handled as without a policy. The task's ``retries``
    still limit the attempts.
    """

    def evaluate(
        self,
        exception: BaseException,
        try_number: int,
        max_tries: int,
        context: Mapping[str, Any] | None = None,
    ) -> RetryDecision:
        """
        Decide whether and when to retry the task.

        :param exception: what failed the task.
        :param try_number: the number of the failed try, from 1.
        :param max_tries: the number of tries in total.
        :param context: the task's; None: its ``retry_delay`` is not known.
        :return: the decision; its reason names the error and its status, but no values of rows.
        """
        cause = exception
        if isinstance(exception, MoEngageIncompleteRun) and exception.__cause__ is not None:
            cause = exception.__cause__
        if isinstance(cause, (MoEngageTaskFailed, *HOPELESS)):
            return RetryDecision.fail(f"{_error_name(cause)}: a retry would not help")
        if not isinstance(cause, MoEngageRetryableError):
            return RetryDecision.default()
        delay = _delay(cause, context)
        when = f"in {delay.total_seconds():.0f} s" if delay else "after the task's retry_delay"
        return RetryDecision.retry(delay, f"{_error_name(cause)}: a retry makes sense {when}")

    def serialize(self) -> dict[str, Any]:
        """Return the policy as JSON; it has no settings."""
        return {"__type": type(self).__name__}

    @classmethod
    def deserialize(cls, data: dict[str, Any]) -> MoEngageRetryPolicy:
        """Return the policy that :meth:`serialize` returned as JSON."""
        return cls()


def _delay(error: MoEngageRetryableError, context: Mapping[str, Any] | None) -> timedelta | None:
    """Return how long to wait; None if the task's own delay applies, exponential or not."""
    if error.retry_after is None:
        return None
    delay = min(timedelta(seconds=error.retry_after) + SLACK, LONGEST_DELAY)
    own = getattr((context or {}).get("task"), "retry_delay", None)
    # A window is free after its reset, but nothing is known about a failing server: a few retries a minute apart
    # would be used up before it recovers.
    if not isinstance(error, MoEngageRateLimited) and isinstance(own, timedelta) and own > delay:
        return None
    return delay


def _error_name(error: MoEngageError) -> str:
    return type(error).__name__ + (f" ({error.status})" if error.status else "")
