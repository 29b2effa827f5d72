"""Waits with a bound, so that a test whose condition never holds fails instead of hanging."""

from __future__ import annotations

import time
from collections.abc import Callable

#: Seconds, far above what any condition takes on a loaded machine.
LIMIT = 60.0


def wait_until(condition: Callable[[], bool], what: str, limit: float = LIMIT) -> None:
    """
    Wait until a condition holds.

    :param what: the condition in words.
    :raises AssertionError: it did not hold within ``limit`` seconds.
    """
    ends = time.monotonic() + limit
    while not condition():
        assert time.monotonic() < ends, f"after {limit:.0f} seconds still not: {what}"
        time.sleep(0.005)
