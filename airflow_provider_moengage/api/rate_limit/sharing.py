"""How a client shares a rate window with others: how much of what is left it may spend, and when it asks again."""

from __future__ import annotations

from typing import NamedTuple, Protocol

from airflow_provider_moengage.api.rate_limit.window_state import WindowState


class Allowance(NamedTuple):
    """
    The units that may be sent now.

    :param units: fewer than the minimum: none may.
    :param retry_at: then, when to ask again; None: once a response has come, or the window has reset.
    """

    units: int
    retry_at: float | None = None


class Sharing(Protocol):
    """
    How one client shares one window.

    The window calls it under its lock; ``now`` is the time of the window's clock, ``state`` what the window knows.
    """

    @property
    def jitter(self) -> float:
        """Return the seconds to wait after the reset, so that clients do not all wake at once."""

    def take(self, wanted: int, minimum: int, now: float, state: WindowState) -> Allowance:
        """
        Take units to send now: ``minimum`` to ``wanted``, or none.

        :param wanted: units of the whole request.
        :param minimum: the fewest units that it can be cut to; the window has so many left.
        """

    def put_back(self, units: int) -> None:
        """Put back units of this window that were taken and are not going to be sent."""

    def learn(self, units: int, spent: int | None, now: float, state: WindowState) -> Sharing:
        """
        Learn from a settled request; return how the window is shared from now on.

        :param units: units of the request that MoEngage has or may have counted in this window.
        :param spent: units of the window that all clients have spent; None: unknown.
        """

    def throttled(self, units: int, left: int, *, early: bool) -> int:
        """
        Learn from a 429; return the units that this client should assume to be left.

        :param units: units of the request.
        :param left: units left, as reported; 0 if the request would have fitted.
        :param early: whether the previous window had not ended yet.
        """

    def begin(self, now: float, state: WindowState) -> Sharing:
        """Begin a new window; return how it is shared."""

    def close(self, *, resumes: bool) -> None:
        """
        Return to other clients what was taken and not sent.

        :param resumes: whether another process resumes in place of this one, which keeps its part of the next window.
        """
