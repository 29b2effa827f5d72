"""The runs of a task that share a snapshot, one after another and two at once; each is verified when it has ended."""

from __future__ import annotations

import re
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from random import Random
from typing import Any

from airflow_provider_moengage.delivery.changes.snapshot_store import GONE_AFTER
from airflow_provider_moengage.sandbox import Sandbox
from faults import verify
from faults.attempt import MAX_TRIES, Attempt
from faults.changed_only.damage import damage, let_time_pass
from faults.changed_only.expected import Expected
from faults.changed_only.plots import CLEARED_SHARE, Step, steps
from faults.changed_only.rows import sent_again
from faults.moments import MAX_FILE_OPERATIONS, Moment
from faults.rows import write
from faults.run import MAX_NAMED, Result, Run
from faults.scenarios import Data, Scenario
from faults.shared import Shared

#: What the log says when the snapshot cannot be relied on, now or in the next run.
UNCERTAIN = re.compile(
    rb"Every row is sent, changed|cannot be written|could be recorded|stays as another run"
)
#: The number of a run that is executed beside another one, from that one's.
BESIDE = 50
#: The share of runs that end with an outage before they are given up, and the maximum of rows that they send before it.
ENDS_BY_OUTAGE, ROWS_BEFORE_OUTAGE = 0.4, 30


class ChangedRun(Run):
    """
    A run that sends only changed users.

    :param step: what happens to it.
    :param alone: whether no other run uses the sandbox.
    """

    def __init__(
        self, scenario: Scenario, sandbox: Sandbox, folder: Path, shared: Shared, step: Step, *, alone: bool
    ) -> None:
        super().__init__(scenario, sandbox, folder, shared)
        self.plan = self._plan
        self.result = self._result
        self.ended = ""
        #: Whether it may be unknown what MoEngage has, so that the next run may send more than has changed.
        self.uncertain = False
        self._step = step
        self._alone = alone
        self._damages = step.damages
        self._incidents = Random(f"{scenario.seed}/incidents")
        self._retries = 0
        #: Whether a run that is given up ends with an outage of MoEngage, after its last kill.
        self._ends_by_outage = alone and self._incidents.random() < ENDS_BY_OUTAGE
        self._in_outage = False

    @property
    def accepted(self) -> int:
        """The rows that it has sent, over all attempts; 0: unknown."""
        return (self._report or {}).get("accepted", 0)

    @property
    def succeeded(self) -> bool:
        return self.ended == "success"

    def begin(self) -> None:
        """Write the source and run the task with its kills until it ends or is given up."""
        self._folder.mkdir(parents=True)
        write(self._scenario, self._plan, self._folder)
        self.go_on(self._step)

    def go_on(self, step: Step) -> None:
        """Run the task until it ends or is given up."""
        began = time.monotonic()
        self._step = step
        self._scenario = replace(self._scenario, kills=self.result.kills.total() + step.kills)
        self._damages = step.damages
        if not step.kills:
            self._sandbox.clear_faults()
        self._put_faults()
        if self._damages and self._incidents.random() < 0.5:
            self._damage()
        self.ended = self._attempts()
        self.result.gave_up = not self.succeeded
        self.uncertain |= bool(self.result.kills and self._retries)
        if not self.result.violations and self.succeeded:
            self._judge()
        self.result.seconds += time.monotonic() - began

    def _is_over(self, ended: str) -> bool:
        if super()._is_over(ended) or (self._step.unwritable and ended != ""):
            return True
        if not self._step.gives_up or self.result.kills.total() < self._scenario.kills:
            return False
        return self._in_outage and ended == "retry" if self._ends_by_outage else ended in ("killed", "retry")

    def _given(self, *arguments: Any) -> Attempt:
        given = super()._given(*arguments)
        if self._step.unwritable:
            return replace(given, snapshots=f"{(self._folder / 'a-file').as_uri()}/snapshots")
        if self._step.full and self.result.tries == 1 and given.killed_before is None:
            drawn = self._incidents.random()
            return replace(given, full_from=round(MAX_FILE_OPERATIONS**drawn))
        return given

    def _next_moment(self) -> Moment:
        if self._step.unwritable:
            (self._folder / "a-file").write_bytes(b"")
            return Moment()
        if self._step.gives_up and self._ends_by_outage and not self._kills_left:
            self._in_outage = True
            return Moment(rows=self._incidents.randrange(ROWS_BEFORE_OUTAGE), is_outage=True)
        drawn = super()._next_moment()
        if drawn.rows is not None and self._scenario.run:
            # After the first run, about half of the rows are sent.
            drawn = replace(drawn, rows=drawn.rows // 2)
        return drawn if self._alone else replace(drawn, is_outage=False)

    @property
    def _kills_left(self) -> int:
        return self._scenario.kills - self.result.kills.total()

    def _rest(self, when: str, until: float) -> None:
        self._shared.root.settle(self._scenario.snapshot_folder)
        super()._rest(when, until)
        log = self._folder / f"log-{self._process}.txt"
        self.uncertain |= log.exists() and UNCERTAIN.search(log.read_bytes()) is not None
        if when.endswith("(killed)"):
            if self._damages:
                self._damage()
            if self._incidents.random() < CLEARED_SHARE:
                self._max_tries = self.result.tries + MAX_TRIES

    def _damage(self) -> None:
        done = damage(self._shared, self._scenario, self._incidents)
        if done is not None:
            self._damages -= 1
            self.result.damaged[done] += 1
            self.uncertain = True

    def _put_faults(self) -> None:
        if self._step.kills:
            super()._put_faults()
        else:
            for customer in self._plan.rejected_there:
                self._sandbox.fault(kind="status", status=400, customer_id=customer)

    def _check_exit(self, process: str, outcome: dict[str, Any]) -> None:
        ended, message = outcome["ended"], outcome.get("message", "")
        self._retries += ended == "retry"
        if self._step.unwritable:
            self.result.errors += 1
            if ended != "retry" or "snapshot_path" not in message:
                self._violates(f"{process} cannot write the snapshot and ended as {ended}: {message}")
            if self._sandbox.state()["requests"] != self._before["requests"]:
                self._violates(f"{process} cannot write the snapshot, and sent rows")
            return
        self.result.errors += ended == "retry" and self._step.full and "No space left" in message
        super()._check_exit(process, outcome)

    def _check_report(self, name: str, report: dict[str, Any], after: dict[str, Any]) -> None:
        if self._alone:
            super()._check_report(name, report, after)

    def _judge(self) -> None:
        found, report = self.result.found, self._report or {}
        found.unknown = report["unknown"]
        files = self._shared.content(self._scenario)
        wrong, _ = verify.rejected(self._plan, files, found)
        counted = {**report, "accepted": report["accepted"] + report["unchanged"]}
        wrong += verify.counts(self._plan, counted, found.rejected)
        wrong += verify.remains(self._folder / "state.json", files)
        bent = self._sandbox.bent()
        if bent:
            wrong.append(f"the sandbox bent {bent[0]} and {len(bent) - 1} more")
        self.violate(wrong)

    def violate(self, wrong: list[str]) -> None:
        """Record violations."""
        for what in wrong[:MAX_NAMED]:
            self._violates(what)
        if len(wrong) > MAX_NAMED:
            self._violates(f"and {len(wrong) - MAX_NAMED} more")


@dataclass(frozen=True)
class Before:
    """
    The run before, if it has ended and nothing has happened since.

    :param state: of its source.
    :param unknown: rows of which a request got no response.
    :param uncertain: whether more may be unknown.
    """

    state: str
    unknown: int
    uncertain: bool


class Story:
    """
    Executes the runs of a task that share a snapshot.

    :param scenario: the first of them.
    :param sandbox: the story's own; it is reset first.
    :param folder: the story's own, and empty.
    :param shared: the folder for the staged and rejected rows and the snapshots of all stories.
    """

    def __init__(self, scenario: Scenario, sandbox: Sandbox, folder: Path, shared: Shared) -> None:
        self._scenario = scenario
        self._sandbox = sandbox
        self._folder = folder
        self._shared = shared
        self._expected = Expected()
        self._runs: list[ChangedRun] = []
        self._before: Before | None = None

    def __call__(self) -> list[Result]:
        """Execute the runs until one of them violates a promise, and return the result of each."""
        self._sandbox.reset()
        self._sandbox.settings(seed=Random(f"{self._scenario.seed}/faults").randrange(2**31))
        told = steps(self._scenario)
        for step in told:
            self._play(step, is_last=step is told[-1])
            if any(run.result.violations for run in self._runs):
                break
        else:
            self._runs[-1].violate(self._left_behind())
        return [run.result for run in self._runs]

    def _play(self, step: Step, *, is_last: bool) -> None:
        if step.ages:
            let_time_pass(self._shared, self._scenario, GONE_AFTER + 1)
        self._sandbox.clear_faults()
        if step.beside is not None:
            self._play_two(step, step.beside)
            return
        if step.later is not None and not self._run(step.later).succeeded:
            run = self._run(step.later)
            run.go_on(step)
            self._expected.may(run.plan)
            self._verify(run)
            self._before = None
            return
        run = self._new(step.number, step, alone=True)
        run.begin()
        if step.unwritable:
            # Nothing was sent.
            self._verify(run)
        elif run.succeeded:
            self._expected.must(run.plan)
            self._check_sent(run, step, is_last=is_last)
            self._verify(run)
            self._before = Before(step.state, run.result.found.unknown, run.uncertain)
        else:
            self._expected.may(run.plan)
            self._verify(run)
            self._before = None

    def _play_two(self, step: Step, beside: str) -> None:
        other = replace(step, number=step.number + BESIDE, state=beside, gives_up=step.beside_gives_up)
        runs = [self._new(one.number, one, alone=False) for one in (step, other)]
        with ThreadPoolExecutor(len(runs)) as pool:
            for begun in [pool.submit(run.begin) for run in runs]:
                begun.result()
        for run in runs:
            self._expected.may(run.plan)
        self._verify(runs[0])
        self._before = None

    def _new(self, number: int, step: Step, *, alone: bool) -> ChangedRun:
        story = self._scenario
        assert story.data is not None
        scenario = replace(
            story, run=number, seed=f"{story.seed}/{number}", data=Data(story.data.seed, step.state)
        )
        folder = self._folder / str(number)
        run = ChangedRun(scenario, self._sandbox, folder, self._shared, step, alone=alone)
        self._runs.append(run)
        return run

    def _run(self, number: int) -> ChangedRun:
        return next(run for run in self._runs if run.result.scenario.run == number)

    def _verify(self, run: ChangedRun) -> None:
        found = self._expected.violations(self._sandbox.users(), run.plan, run.result.found)
        run.violate(list(found))

    def _check_sent(self, run: ChangedRun, step: Step, *, is_last: bool) -> None:
        """Check that a run of the same rows as the last one sends again only what is uncertain."""
        before = self._before
        if before is None or before.state != step.state:
            return
        again = run.accepted - sent_again(run.plan)
        run.result.found.repeated += max(0, again)
        if is_last and (again or run.uncertain):
            run.violate([f"{again} rows were sent again after two undisturbed runs"])
        elif not (before.uncertain or run.uncertain) and again > 2 * before.unknown:
            run.violate([f"{again} rows were sent again, and {before.unknown} were unknown"])
        elif again < 0:
            run.violate([f"{-again} rows were not sent although they differ from the row before"])

    def _left_behind(self) -> list[str]:
        """Return what is left of a snapshot and should not be."""
        names = self._shared.snapshot(self._scenario)
        # An attempt that was killed while it announced itself has sent nothing, and nobody knows its name.
        kept = ("manifest-", "entries-", ".attempt-")
        left = [name for name in names if not name.startswith(kept)]
        manifests = sum(name.startswith("manifest-") for name in names)
        wrong = [f"the snapshot's folder still contains {', '.join(left)}"] if left else []
        return wrong + ([] if manifests == 1 else [f"the snapshot has {manifests} manifests"])
