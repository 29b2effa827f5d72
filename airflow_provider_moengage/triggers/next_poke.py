"""The trigger that wakes a deferred sensor for its next poke."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import datetime
from typing import Any

from airflow.triggers.base import TriggerEvent

from airflow_provider_moengage._compat import DateTimeTrigger


class NextPokeTrigger(DateTimeTrigger):  # type: ignore[misc] # Airflow's providers are untyped here
    """
    Waits until a moment, and returns how far the sensor had come; it sends no request.

    The arguments of a deferral could hold that, too, but ``dag.test()`` drops them.

    :param moment: when to poke, with a time zone.
    :param since: when the first poke began, in seconds of the epoch.
    :param pokes: the number of pokes until now.
    """

    def __init__(self, *, moment: datetime, since: float, pokes: int) -> None:
        super().__init__(moment)
        self.since = since
        self.pokes = pokes

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """Return the class and its arguments, for Airflow's database."""
        arguments = {"moment": self.moment, "since": self.since, "pokes": self.pokes}
        return f"{NextPokeTrigger.__module__}.{NextPokeTrigger.__name__}", arguments

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Wait, and yield ``since`` and ``pokes`` as a dict."""
        async for _ in super().run():
            yield TriggerEvent({"since": self.since, "pokes": self.pokes})
