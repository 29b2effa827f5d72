"""Interrupts a thread at any step, as the signal handler of a task's timeout does to the main thread."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from types import FrameType
from typing import Any

PACKAGE = "airflow_provider_moengage"


class Interrupted(Exception):
    """The task's timeout, which a signal handler raises wherever the main thread is."""


def _is_ours(frame: FrameType | None) -> bool:
    return frame is not None and str(frame.f_globals.get("__name__")).startswith(PACKAGE)


def interruptions(steps: Callable[[], object]) -> Iterator[int]:
    """
    Run steps again and again, each time interrupted one event later, until they end; yield after each interruption.

    An event is a call or a return of a function of the package, or of one that it calls: Python handles signals there, and
    not between any two lines.
    """
    number = 0
    interrupted = True
    while interrupted:
        number += 1
        left = number

        def trace(frame: FrameType, event: str, arg: Any) -> Any:
            nonlocal left
            if not _is_ours(frame) and not _is_ours(frame.f_back):
                return None
            left -= event in ("call", "return")
            if left == 0 and event != "line":
                raise Interrupted
            return trace

        sys.settrace(trace)
        try:
            steps()
            interrupted = False
        except Interrupted:
            yield number
        finally:
            sys.settrace(None)
