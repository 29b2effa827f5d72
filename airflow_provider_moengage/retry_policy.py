"""When a task is tried again that MoEngage, the network or the parameters failed; for Airflow 3.3 and newer."""

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

#: Resets are published in whole seconds, and whether they are rounded down is not documented: a retry that comes
#: a moment early would only wait in its worker.
SLACK = timedelta(seconds=1)
#: Windows last a minute. What asks for more is no documented header, and must not put a task off for days.
LONGEST_DELAY = timedelta(hours=1)


def moengage_retry_policy() -> MoEngageRetryPolicy:
    """
    Give a policy for ``retry_policy=`` of a task that talks to MoEngage: an operator of this package or a task of
    one's own that uses its hook.

    :raises MoEngageParameterError: this Airflow is older than 3.3.
    """
    if RetryDecision is None:
        raise MoEngageParameterError(
            "moengage_retry_policy() needs Airflow 3.3 or newer; leave retry_policy out. The exceptions alone do "
            "what they can before: MoEngageTaskFailed is never retried, MoEngageIncompleteRun is retried after the "
            "task's retry_delay"
        )
    return MoEngageRetryPolicy()


class MoEngageRetryPolicy(RetryPolicy):
    """
    Decides by the exception that failed the task, and of a :class:`MoEngageIncompleteRun` by what ended the run.

    A rate window that stayed spent: the task comes back when it resets. Servers or a network that failed: it comes
    back then too, but not before its own ``retry_delay``. Refused credentials, requests, parameters or rows: it
    fails at once. Anything else: as without a policy. The task's ``retries`` bound the tries all the same.
    """

    def evaluate(
        self,
        exception: BaseException,
        try_number: int,
        max_tries: int,
        context: Mapping[str, Any] | None = None,
    ) -> RetryDecision:
        """
        Decide whether the task is tried again, and when.

        :param exception: what failed the task.
        :param try_number: of the try that failed, from 1.
        :param max_tries: tries in all.
        :param context: the task's; None: its ``retry_delay`` is not known.
        :return: the decision; its reason names the error and its status, and nothing of a row.
        """
        cause = exception
        if isinstance(exception, MoEngageIncompleteRun) and exception.__cause__ is not None:
            cause = exception.__cause__
        if isinstance(cause, (MoEngageTaskFailed, *HOPELESS)):
            return RetryDecision.fail(f"{_named(cause)}: a retry would not mend it")
        if not isinstance(cause, MoEngageRetryableError):
            return RetryDecision.default()
        delay = _delay(cause, context)
        when = f"in {delay.total_seconds():.0f} s" if delay else "after the task's retry_delay"
        return RetryDecision.retry(delay, f"{_named(cause)}: a retry makes sense {when}")

    def serialize(self) -> dict[str, Any]:
        """Give the policy as JSON; it has no settings."""
        return {"__type": type(self).__name__}

    @classmethod
    def deserialize(cls, data: dict[str, Any]) -> MoEngageRetryPolicy:
        """Make a policy of what :meth:`serialize` gave."""
        return cls()


def _delay(error: MoEngageRetryableError, context: Mapping[str, Any] | None) -> timedelta | None:
    """Give how long to wait; None where the task's own delay, or its growing one, is the right one."""
    if error.retry_after is None:
        return None
    delay = min(timedelta(seconds=error.retry_after) + SLACK, LONGEST_DELAY)
    own = getattr((context or {}).get("task"), "retry_delay", None)
    # A spent window is known to be free after its reset; of a server that has trouble nothing is known, and a few
    # retries a minute apart would be gone before it is well.
    if not isinstance(error, MoEngageRateLimited) and isinstance(own, timedelta) and own > delay:
        return None
    return delay


def _named(error: MoEngageError) -> str:
    return type(error).__name__ + (f" ({error.status})" if error.status else "")
