"""Executes DAGs, one at a time with all its runs at once, until there were enough kills."""

from __future__ import annotations

import multiprocessing
import shutil
import tempfile
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from random import Random

from airflow_provider_moengage.sandbox import Sandbox
from airflow_provider_moengage.sandbox.client import running_sandbox
from faults.changed_only.story import Story
from faults.run import WINDOWS, Result, Run
from faults.scenarios import Scenario
from faults.shared import Shared, shared_folder, strangers_of


class Campaign:
    """
    Executes DAGs until there were enough kills.

    :param dags: the runs of each DAG, in order.
    :param kills: the number of kills that is enough.
    :param on_result: called with the result of every run.
    """

    def __init__(
        self,
        dags: Iterator[Sequence[Scenario]],
        kills: int,
        on_result: Callable[[Result], None] = lambda _: None,
    ) -> None:
        self._dags = dags
        self._kills = kills
        self._on_result = on_result
        self._sandboxes: list[Sandbox] = []
        #: By place: the folder that all runs there share.
        self.shared: dict[str, Shared] = {}

    def __call__(self) -> list[Result]:
        """Return the result of each run."""
        # Processes are forked from one that has imported everything, so that each starts within milliseconds.
        multiprocessing.get_context("forkserver").set_forkserver_preload(["faults.attempt"])
        done: list[Result] = []
        with ExitStack() as stack:
            while sum(result.kills.total() for result in done) < self._kills:
                dag = next(self._dags, None)
                if dag is None:
                    break
                done += self._results(dag, stack)
            for place, shared in self.shared.items():
                last = next(result for result in reversed(done) if result.scenario.place == place)
                for what in shared.touched():
                    last.touched += 1
                    last.violations.append(f"{last.scenario}: {what}, seen at the end of the campaign")
        return done

    def _results(self, dag: Sequence[Scenario], stack: ExitStack) -> list[Result]:
        """Execute the runs of a DAG at once, each with a sandbox of its own."""
        while len(self._sandboxes) < len(dag):
            self._sandboxes.append(stack.enter_context(running_sandbox(**WINDOWS)))
        place, seed = dag[0].place, dag[0].seed
        if place not in self.shared:
            self.shared[place] = stack.enter_context(shared_folder(place, seed))
        shared = self.shared[place]
        chance = Random(f"{seed}/strangers")
        shared.put_strangers(strangers_of(dag, chance), chance)
        with ThreadPoolExecutor(len(dag)) as pool:
            runs = [
                pool.submit(self._done, scenario, sandbox, shared)
                for scenario, sandbox in zip(dag, self._sandboxes, strict=False)
            ]
        return [result for run in runs for result in run.result()]

    def _done(self, scenario: Scenario, sandbox: Sandbox, shared: Shared) -> list[Result]:
        # Kept for investigation if there is a violation.
        folder = Path(tempfile.mkdtemp(prefix=f"faults-{scenario.number}-{scenario.run}-"))
        if scenario.data is not None:
            done = Story(scenario, sandbox, folder, shared)()
        else:
            done = [Run(scenario, sandbox, folder, shared)()]
        wrong = [result for result in done if result.violations]
        if wrong:
            wrong[-1].violations.append(f"{scenario}: the folder of this run is {folder}")
        else:
            shutil.rmtree(folder)
        for result in done:
            self._on_result(result)
        return done
