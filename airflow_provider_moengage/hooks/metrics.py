"""A run in Airflow's own metrics, which go wherever the deployment sends them: StatsD, Datadog, OpenTelemetry."""

from __future__ import annotations

import re

from airflow_provider_moengage._compat import Stats
from airflow_provider_moengage.api.endpoints import Endpoint
from airflow_provider_moengage.delivery.account.progress import Progress

ROWS_ACCEPTED = "moengage.rows_accepted"
ROWS_REJECTED = "moengage.rows_rejected"
THROTTLED_SECONDS = "moengage.throttled_seconds"


def operation_of(endpoint: Endpoint) -> str:
    """Give MoEngage's name of an endpoint as a tag's value, such as ``track_user``."""
    return re.sub(r"\W+", "_", endpoint.name.lower())


class RunMetrics:
    """
    Counts one run on, each time it is called with the progress; without a metrics backend Airflow drops it.

    :param endpoint: its name is the tag ``operation``.
    """

    def __init__(self, endpoint: Endpoint) -> None:
        self._tags = {"operation": operation_of(endpoint)}
        self._counted: dict[str, int] = {}

    def __call__(self, progress: Progress) -> None:
        """Add what has come since the last call; what earlier tries did was added by them."""
        self._count(ROWS_ACCEPTED, progress.accepted - progress.earlier.accepted)
        self._count(ROWS_REJECTED, progress.rejected - progress.earlier.rejected)
        # Whole seconds, because some StatsD servers cut the rest of a counter off; it is in the next call's.
        self._count(THROTTLED_SECONDS, round(progress.throttled_seconds))

    def _count(self, name: str, now: int) -> None:
        more = now - self._counted.get(name, 0)
        if more > 0:
            Stats.incr(name, count=more, tags=self._tags)
            self._counted[name] = now
