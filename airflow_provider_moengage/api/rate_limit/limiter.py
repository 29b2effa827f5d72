"""The rate limiter of a workspace: grants a request the units of all its quotas, or none."""

from __future__ import annotations

import threading
from math import inf

from airflow_provider_moengage.api.endpoint import Quota, Units
from airflow_provider_moengage.api.errors import MoEngageStopped, MoEngageWindowSpent
from airflow_provider_moengage.api.rate_limit.headers import RateHeaders
from airflow_provider_moengage.api.rate_limit.redis_window import RedisWindows
from airflow_provider_moengage.api.rate_limit.window import Grant, Window
from airflow_provider_moengage.api.rate_limit.window_state import WindowView
from airflow_provider_moengage.api.workspace import Workspace


class Permit:
    """
    Units of one or more quotas granted for one request; to be settled by its response, or without one.

    :param grants: the window and its grant, by quota.
    """

    def __init__(self, grants: dict[Quota, tuple[Window, Grant]]) -> None:
        self._grants = grants

    @property
    def units(self) -> Units:
        """Return the units granted, by quota."""
        return {quota: grant.units for quota, (_, grant) in self._grants.items()}

    def keep(self, units: Units) -> None:
        """Return all but so many units to their windows."""
        for quota, (window, grant) in list(self._grants.items()):
            surplus = grant.units - units.get(quota, 0)
            left = window.return_units(grant, surplus) if surplus else grant
            if left is None:
                del self._grants[quota]
            else:
                self._grants[quota] = (window, left)

    def settle(self, rate: RateHeaders, status: int) -> None:
        """Settle the permit by the response."""
        if len(self._grants) > 1:
            # Which of several windows the headers describe is not documented. Only a 429, which closes all of them, has
            # a wait that holds for each.
            rate = (
                RateHeaders(reset=rate.reset, retry_after=rate.retry_after, by_clock=rate.by_clock)
                if status == 429
                else RateHeaders()
            )
        for window, grant in self._take_grants():
            window.settle(grant, rate, throttled=status == 429)

    def settle_unconfirmed(self) -> None:
        """Settle the permit without a response; does nothing if it is settled already."""
        for window, grant in self._take_grants():
            window.settle_unconfirmed(grant)

    def _take_grants(self) -> list[tuple[Window, Grant]]:
        taken = list(self._grants.values())
        self._grants.clear()
        return taken


class RateLimiter:
    """
    Limits the requests of one workspace by the rate windows of its quotas; thread-safe.

    :param shared: the windows in Redis that all tasks of the workspace share; None: each window follows the headers.
    """

    def __init__(self, workspace: Workspace, shared: RedisWindows | None = None) -> None:
        self._workspace = workspace
        self._shared = shared
        self._windows: dict[Quota, Window] = {}
        self._lock = threading.Lock()

    def acquire(
        self,
        units: Units,
        halt: threading.Event,
        minimum: Units | None = None,
        max_wait: float | None = None,
    ) -> Permit:
        """
        Wait until units may be sent, and return a permit for them.

        :param units: the units wanted, by quota.
        :param halt: cancels the wait once it is set; :meth:`wake` makes waiting threads check it.
        :param minimum: the fewest units that are of use, by quota; None: all or nothing.
        :param max_wait: the maximum number of seconds to wait for a reset; None: unlimited.
        :return: a permit for ``minimum`` to ``units``.
        :raises MoEngageStopped: ``halt`` was set; nothing was granted.
        :raises MoEngageWindowSpent: the wait would be longer than ``max_wait``; nothing was granted.
        """
        while True:
            grants: dict[Quota, tuple[Window, Grant]] = {}
            for quota, wanted in units.items():
                window = self.window(quota)
                # Read before halt is checked and units are requested, so that no later change is missed.
                changes = window.changes
                if halt.is_set():
                    Permit(grants).keep({})
                    raise MoEngageStopped("the run was stopped before this request was sent")
                granted = window.try_acquire(wanted, wanted if minimum is None else minimum[quota])
                if not isinstance(granted, Grant):
                    # Hold nothing while waiting, so that two requests cannot deadlock.
                    Permit(grants).keep({})
                    # Requests in flight may return units: only a wait without any is final.
                    idle = not window.in_flight and window.changes == changes
                    if max_wait is not None and max_wait < granted < inf and idle:
                        raise MoEngageWindowSpent(
                            f"the rate window is spent and resets in {granted:.0f} s", retry_after=granted
                        )
                    window.wait(granted, changes)
                    break
                grants[quota] = (window, granted)
            else:
                return Permit(grants)

    def exceeds(self, units: Units) -> bool:
        """Whether a request costs more than a whole window of its quota, as far as is known."""
        return any(count > self.window(quota).capacity for quota, count in units.items())

    def starved(self, units: Units) -> bool:
        """Whether one of these quotas has granted nothing for five whole windows."""
        return any(self.window(quota).starved for quota in units)

    def published_reset_in(self, units: Units) -> float | None:
        """Return the seconds until the last of these quotas' windows resets, as published; None if none was."""
        resets = [self.window(quota).published_reset_in for quota in units]
        return max((seconds for seconds in resets if seconds is not None), default=None)

    @property
    def throttled_seconds(self) -> float:
        """Return the seconds spent waiting for rate windows to reset."""
        return sum(window.throttled_seconds for window in self._all())

    @property
    def resets_in(self) -> float | None:
        """Return the seconds until the last of the awaited windows resets; None while no thread waits."""
        waits = [window.resets_in for window in self._all()]
        return max((seconds for seconds in waits if seconds is not None), default=None)

    def seconds_for(self, units: int) -> float:
        """
        Return the minimum number of seconds until so many more units are granted.

        With several quotas it is unknown how the units are spread over them: then it is 0.
        """
        windows = self._all()
        return windows[0].seconds_for(units) if len(windows) == 1 else 0.0

    def views(self) -> tuple[WindowView, ...]:
        """Return the windows of the quotas that requests have used so far."""
        with self._lock:
            windows = list(self._windows.items())
        return tuple(window.view(quota.name) for quota, window in windows)

    @property
    def is_shared(self) -> bool:
        """Whether all tasks of the workspace share the windows."""
        return self._shared is not None

    @property
    def client(self) -> str | None:
        """Return the id of this client of the shared windows; None: they are not shared."""
        return self._shared.client if self._shared is not None else None

    def resume_as(self, client: str) -> None:
        """Resume in place of another client of the shared windows; to be called before units are acquired."""
        if self._shared is not None:
            self._shared.client = client

    def suspend(self) -> None:
        """Return the unused units of shared windows, for a process that resumes as the same client."""
        for window in self._all():
            window.close(resumes=True)

    def wake(self) -> None:
        """Wake all waiters so that they re-check for cancellation."""
        for window in self._all():
            window.wake()

    def close(self) -> None:
        """Return the unused units of shared windows, and close the connections to Redis."""
        for window in self._all():
            window.close()
        if self._shared is not None:
            self._shared.close()

    def _all(self) -> list[Window]:
        with self._lock:
            return list(self._windows.values())

    def window(self, quota: Quota) -> Window:
        """Return the rate window of a quota, the same for every caller."""
        window = self._windows.get(quota)
        if window is None:
            with self._lock:
                window = self._windows.setdefault(
                    quota,
                    Window(
                        self._workspace.limit(quota),
                        share=self._workspace.rate_limit_share,
                        shared=self._shared.window(quota.name) if self._shared else None,
                    ),
                )
        return window
