"""Many runs, two at a time, until there were enough kills."""

from __future__ import annotations

import multiprocessing
import shutil
import tempfile
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from airflow_provider_moengage.sandbox.client import running_sandbox
from faults.run import WINDOWS, Result, Run
from faults.scenarios import Scenario

#: Runs at once, each with a sandbox of its own: one sleeps while the other works.
LANES = 2


class Campaign:
    """
    Takes runs from a list until there were enough kills.

    :param scenarios: the runs, in their order.
    :param kills: so many are enough.
    :param on_result: told of every run that has ended.
    """

    def __init__(
        self, scenarios: Iterator[Scenario], kills: int, on_result: Callable[[Result], None] = lambda _: None
    ) -> None:
        self._scenarios = scenarios
        self._kills_left = kills
        self._on_result = on_result
        self._lock = threading.Lock()
        self._results: list[Result] = []

    def __call__(self, lanes: int = LANES) -> list[Result]:
        """Give what came of each run."""
        # Processes are forked from one that has imported everything: a try then starts within milliseconds.
        multiprocessing.get_context("forkserver").set_forkserver_preload(["faults.run"])
        with ThreadPoolExecutor(lanes) as pool:
            for lane in [pool.submit(self._lane) for _ in range(lanes)]:
                lane.result()
        return sorted(self._results, key=lambda result: result.scenario.number)

    def _lane(self) -> None:
        with running_sandbox(**WINDOWS) as sandbox:
            while (scenario := self._next()) is not None:
                # Kept where something is wrong, for whoever looks into it.
                folder = Path(tempfile.mkdtemp(prefix=f"faults-{scenario.number}-"))
                try:
                    result = Run(scenario, sandbox, folder)()
                except BaseException:
                    # The other lanes end with their run, too: nobody waits for figures that are not complete.
                    self._kills_left = 0
                    raise
                if result.violations:
                    result.violations.append(f"{scenario}: the folder of this run is {folder}")
                else:
                    shutil.rmtree(folder)
                with self._lock:
                    self._kills_left -= result.kills.total()
                    self._results.append(result)
                    self._on_result(result)

    def _next(self) -> Scenario | None:
        with self._lock:
            return next(self._scenarios, None) if self._kills_left > 0 else None
