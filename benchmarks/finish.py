"""Measures how long several windows' worth of users take, against the optimum that the windows allow."""

from __future__ import annotations

import random
import statistics
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from benchmarks import contenders
from benchmarks.figures import RESETS, Sample
from benchmarks.processes import Contender, Tasks, contender
from benchmarks.sink import RunningSink, running_sink
from benchmarks.together import STARTING, WINDOW, begin_windows, connections, together

#: Windows' worth of users to send.
WINDOWS = 3.5
#: Held while half a window's users are timed, without a limit and without other runs.
ALONE = threading.Lock()


@dataclass(frozen=True)
class Variant:
    """
    An operator with users for several windows.

    :param limit: units per window; few enough to be spent within a small part of it.
    :param reset: the format of the reset header, see :class:`benchmarks.sink.Settings`.
    :param environment: variables of its process.
    """

    name: str
    limit: int
    reset: str
    prepare: Callable[..., Tasks]
    arguments: tuple[Any, ...] = ()
    environment: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Finished:
    """
    The times of one run, in seconds.

    :param took: from the first request at the sink to the end of the task.
    :param optimum: the rest of the first window, two whole windows, and the burst.
    :param burst: half a window's users without a limit.
    :param windows: units and 429s of every window.
    """

    took: float
    optimum: float
    burst: float
    windows: list[tuple[int, int]]

    @property
    def refused(self) -> int:
        """The maximum number of 429s in one window."""
        return max(refused for _, refused in self.windows)


def variants() -> dict[str, Variant]:
    found = {}
    for spelling, reset in RESETS.items():
        for kind, limit, parameters in (("bulk", 10_000, {"bulk": True}), ("single", 2_000, {})):
            name = f"{kind}-{spelling}"
            found[name] = Variant(name, limit, reset, contenders.finish_tracking, (parameters,))
    return {**found, "get-up": Variant("get-up", 1_000, "ceil", contenders.finish_reading)}


def finish(repetitions: int, names: Sequence[str], at_once: int) -> dict[str, Sample]:
    """Measure the named variants; see :func:`finished`."""
    known = variants()
    done = finished([known[name] for _ in range(repetitions) for name in names], at_once)
    samples = {}
    for name in names:
        each = done[name]
        samples[f"finish.{name}.time"] = against_optimum(each)
        refused = [float(run.refused) for run in each]
        samples[f"finish.{name}.refused"] = Sample(max(refused), refused)
    return samples


def finished(runs: Sequence[Variant], at_once: int) -> dict[str, list[Finished]]:
    """
    Run variants concurrently, since they mostly sleep.

    :param at_once: concurrent runs; their windows end one after another, so that their bursts rarely overlap.
    """
    done: dict[str, list[Finished]] = {}
    for start in range(0, len(runs), at_once):
        some = runs[start : start + at_once]
        tasks = [partial(_run, variant, place, len(some)) for place, variant in enumerate(some)]
        for variant, run in zip(some, together(tasks), strict=True):
            done.setdefault(variant.name, []).append(run)
    return done


def against_optimum(runs: Sequence[Finished]) -> Sample:
    """Return the median of the ratios of what runs took to their optimum."""
    ratios = [run.took / run.optimum for run in runs]
    detail = {
        "seconds": [run.took for run in runs],
        "optimum": [run.optimum for run in runs],
        "burst": [run.burst for run in runs],
        "windows": [run.windows for run in runs],
    }
    return Sample(statistics.median(ratios), ratios, detail)


def _run(variant: Variant, place: int, places: int, all_ready: threading.Barrier) -> Finished:
    half, count = variant.limit // 2, int(variant.limit * WINDOWS)
    with ExitStack() as stack:
        with STARTING:
            sink = stack.enter_context(running_sink())
            environment = {**connections(sink), **variant.environment}
            prepared = contender(variant.prepare, count, half, *variant.arguments, environment=environment)
            ready = stack.enter_context(prepared)
        all_ready.wait()
        with ALONE:
            burst = _burst(sink, ready, half)
        all_ready.wait()
        # At least half of the first window is left, so that it can be filled.
        begin_windows(
            sink, (place + random.random()) / places, (0, 0.5), limit=variant.limit, reset=variant.reset
        )
        measured = ready.run()
        counters = sink.counters()
    if counters["units"] != measured.count:
        raise RuntimeError(f"{measured.count} users were accepted, {counters['units']} counted by the sink")
    first_window_left = counters["began"] + WINDOW - counters["first"]
    return Finished(
        took=measured.ended - counters["first"],
        optimum=first_window_left + 2 * WINDOW + burst,
        burst=burst,
        windows=[(window[1], window[2]) for window in counters["windows"]],
    )


def _burst(sink: RunningSink, ready: Contender, half: int) -> float:
    """Time half a window's users without a limit, from the first request on."""
    sink.settings()
    ended = ready.run("burst").ended
    counters = sink.counters()
    if counters["units"] != half:
        raise RuntimeError(f"the sink counted {counters['units']} of {half} users")
    return float(ended - counters["first"])
