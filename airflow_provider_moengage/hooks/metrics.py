"""Reports a run in Airflow's metrics: StatsD, Datadog or OpenTelemetry, as the deployment configures."""

from __future__ import annotations

import re

from airflow_provider_moengage._compat import Stats
from airflow_provider_moengage.api.endpoint import Endpoint
from airflow_provider_moengage.delivery.account.progress import Progress

ROWS_ACCEPTED = "moengage.rows_accepted"
ROWS_REJECTED = "moengage.rows_rejected"
THROTTLED_SECONDS = "moengage.throttled_seconds"


def operation_of(endpoint: Endpoint) -> str:
    """Return MoEngage's name of an endpoint as a tag value, such as ``track_user``."""
    return re.sub(r"\W+", "_", endpoint.name.lower())


class RunMetrics:
    """
    Adds the progress of one run to its metrics on each call; without a metrics backend Airflow discards them.

    :param endpoint: its name is the tag ``operation``.
    """

    def __init__(self, endpoint: Endpoint) -> None:
        self._tags = {"operation": operation_of(endpoint)}
        self._counted: dict[str, int] = {}

    def __call__(self, progress: Progress) -> None:
        """Add the progress since the last call; earlier attempts have added theirs."""
        self._count(ROWS_ACCEPTED, progress.accepted - progress.earlier.accepted)
        self._count(ROWS_REJECTED, progress.rejected - progress.earlier.rejected)
        # Whole seconds: some StatsD servers truncate counters. The remainder is part of the next call.
        self._count(THROTTLED_SECONDS, round(progress.throttled_seconds))

    def _count(self, name: str, now: int) -> None:
        more = now - self._counted.get(name, 0)
        if more > 0:
            Stats.incr(name, count=more, tags=self._tags)
            self._counted[name] = now
