"""What a call may cost: grants of every quota that it draws from, taken together or not at all."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from math import inf

from airflow_provider_moengage.api.errors import MoEngageStopped, MoEngageWindowSpent
from airflow_provider_moengage.api.rate_limit.headers import RateHeaders
from airflow_provider_moengage.api.rate_limit.redis_window import RedisWindows
from airflow_provider_moengage.api.rate_limit.window import Grant, Window
from airflow_provider_moengage.api.workspace import Workspace


class Permit:
    """
    Units of one or more quotas that may be sent now; settled by its answer, or by :meth:`lost`.

    :param grants: the window and its grant, by quota.
    """

    def __init__(self, grants: dict[str, tuple[Window, Grant]]) -> None:
        self._grants = grants

    @property
    def units(self) -> Mapping[str, int]:
        """What was granted, by quota."""
        return {quota: grant.units for quota, (_, grant) in self._grants.items()}

    def keep(self, units: Mapping[str, int]) -> None:
        """Give back all but so many units."""
        for quota, (window, grant) in list(self._grants.items()):
            surplus = grant.units - units.get(quota, 0)
            left = window.give_back(grant, surplus) if surplus else grant
            if left is None:
                del self._grants[quota]
            else:
                self._grants[quota] = (window, left)

    def answered(self, rate: RateHeaders, status: int) -> None:
        """Settle it by its answer."""
        if len(self._grants) > 1:
            # Which of several windows the headers speak of is not documented: only of a 429, which closes all of
            # them, is the wait believed.
            rate = (
                RateHeaders(reset=rate.reset, retry_after=rate.retry_after, by_clock=rate.by_clock)
                if status == 429
                else RateHeaders()
            )
        for window, grant in self._taken():
            window.answered(grant, rate, refused=status == 429)

    def lost(self) -> None:
        """Settle it where no answer came; nothing happens if it is settled."""
        for window, grant in self._taken():
            window.lost(grant)

    def _taken(self) -> list[tuple[Window, Grant]]:
        taken = list(self._grants.values())
        self._grants.clear()
        return taken


class RateLimiter:
    """
    The rate windows of a workspace's quotas.

    :param shared: the same windows as all tasks of the workspace draw from them; None: each follows the headers.
    """

    def __init__(self, workspace: Workspace, shared: RedisWindows | None = None) -> None:
        self._workspace = workspace
        self._shared = shared
        self._windows: dict[str, Window] = {}
        self._lock = threading.Lock()

    def acquire(
        self,
        units: Mapping[str, int],
        halt: threading.Event,
        least: Mapping[str, int] | None = None,
        patience: float | None = None,
    ) -> Permit:
        """
        Wait until units may be sent.

        :param units: wanted, by quota.
        :param halt: ends the wait once it is set; :meth:`wake` lets waiting threads see it.
        :param least: fewer are no use; None: all or nothing.
        :param patience: seconds to wait for a window to reset at most; None: as long as it takes.
        :return: a permit for ``least`` to ``units``.
        :raises MoEngageStopped: ``halt`` was set; nothing was granted.
        :raises MoEngageWindowSpent: the wait would be longer than ``patience``; nothing was granted.
        """
        while True:
            grants: dict[str, tuple[Window, Grant]] = {}
            for quota, wanted in units.items():
                window = self._window(quota)
                # Read before the question and before the look at halt: nothing is missed that happens after.
                changes = window.changes
                if halt.is_set():
                    Permit(grants).keep({})
                    raise MoEngageStopped("the run was stopped before this request was sent")
                offer = window.offer(wanted, wanted if least is None else least[quota])
                if not isinstance(offer, Grant):
                    # Nothing is held while waiting, so that two calls never wait for each other.
                    Permit(grants).keep({})
                    # What is in flight may leave units over; once it has settled, the window is asked again.
                    idle = not window.in_flight and window.changes == changes
                    if patience is not None and patience < offer < inf and idle:
                        raise MoEngageWindowSpent(
                            f"the rate window is spent and resets in {offer:.0f} s", retry_after=offer
                        )
                    window.wait(offer, changes)
                    break
                grants[quota] = (window, offer)
            else:
                return Permit(grants)

    def exceeds(self, units: Mapping[str, int]) -> bool:
        """Whether a request costs more than a whole window of its quota holds, as far as is known."""
        return any(count > self._window(quota).capacity for quota, count in units.items())

    def starved(self, units: Mapping[str, int]) -> bool:
        """Whether one of these quotas has granted nothing for five whole windows."""
        return any(self._window(quota).starved for quota in units)

    def published_reset_in(self, units: Mapping[str, int]) -> float | None:
        """Seconds until the last of these quotas' windows resets, as published; None where no answer did."""
        resets = [self._window(quota).published_reset_in for quota in units]
        return max((seconds for seconds in resets if seconds is not None), default=None)

    @property
    def throttled_seconds(self) -> float:
        """Seconds spent waiting for rate windows to reset."""
        return sum(window.throttled_seconds for window in self._all())

    @property
    def resets_in(self) -> float | None:
        """Seconds until the last of the rate windows resets that are waited for; None while none is."""
        waits = [window.resets_in for window in self._all()]
        return max((seconds for seconds in waits if seconds is not None), default=None)

    def seconds_for(self, units: int) -> float:
        """
        Return the seconds that pass at least before so many units more are granted.

        Of several quotas nobody knows how the units are spread over them: then it is 0.
        """
        windows = self._all()
        return windows[0].seconds_for(units) if len(windows) == 1 else 0.0

    @property
    def is_shared(self) -> bool:
        """Whether all tasks of the workspace draw from the same windows."""
        return self._shared is not None

    def wake(self) -> None:
        """Let whoever waits for a window look at its ``halt`` again."""
        for window in self._all():
            window.wake()

    def close(self) -> None:
        """Return what was drawn from shared windows and not used, and let go of them."""
        for window in self._all():
            window.close()
        if self._shared is not None:
            self._shared.close()

    def window(self, quota: str) -> Window:
        """Return the rate window of a quota."""
        return self._window(quota)

    def _all(self) -> list[Window]:
        with self._lock:
            return list(self._windows.values())

    def _window(self, quota: str) -> Window:
        window = self._windows.get(quota)
        if window is None:
            with self._lock:
                window = self._windows.setdefault(
                    quota,
                    Window(
                        self._workspace.limit(quota),
                        share=self._workspace.rate_limit_share,
                        shared=self._shared.window(quota) if self._shared else None,
                    ),
                )
        return window
