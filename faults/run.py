"""One run: a task that is killed and restarted repeatedly, and verified once it has succeeded."""

from __future__ import annotations

import json
import multiprocessing
import signal
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any

from airflow_provider_moengage.sandbox import Sandbox
from faults import verify
from faults.attempt import MAX_TRIES, Attempt, attempt
from faults.changed_only.rows import rows_of
from faults.moments import Moment, moment
from faults.rows import Planned, write
from faults.scenarios import Scenario
from faults.shared import CHECKPOINT, Shared

#: The sandbox's windows: one second, with so few units that the task has to wait.
WINDOWS: dict[str, Any] = {
    "window_seconds": 1.0,
    "users_per_minute": 900,
    "events_per_minute": 900,
    "bulk_users_per_minute": 2_500,
    "bulk_events_per_minute": 2_500,
    # The checks use the stored users and events; logging the requests would only cost memory.
    "requests_kept": 0,
}
#: The share of requests that each fault affects: a bulk run has a fiftieth of the requests.
SINGLE_SHARE, BULK_SHARE = 0.003, 0.04
FAULTS: tuple[dict[str, Any], ...] = (
    {"kind": "status", "status": 500},
    {"kind": "status", "status": 503, "body": "html"},
    {"kind": "status", "status": 429, "headers": {"retry-after": "0"}, "times": 3},
    {"kind": "drop_before"},
    {"kind": "drop_after"},
    {"kind": "slow", "seconds": 0.05},
)
#: The response to every request during an outage, which outlasts the retries of a try.
OUTAGE = {"kind": "status", "status": 503}
#: Seconds: the polling interval of a try's progress, and the time after which a try counts as hanging.
LOOK, HANGS = 0.01, 180.0
#: Maximum seconds between two tries, in which another run may touch the files of the first.
RESTS = 0.5
#: Maximum tries in a row that end early without an outage: requests that fail five times in a row are rare.
MAX_IN_VAIN = 10
#: Maximum violations of one run that are reported: if one row is lost, thousands often are.
MAX_NAMED = 10


#: Held while a process is started or looked at: multiprocessing looks at all of them when it starts one, and if two threads
#: read the exit code of one, one of them gets another.
PROCESSES = threading.Lock()


def is_alive(process: Any) -> bool:
    """Whether a process has not ended."""
    with PROCESSES:
        alive: bool = process.is_alive()
        return alive


@dataclass
class Result:
    """
    The result of a run.

    :param kills: by kind of moment.
    :param late: kills after the report, when only the success was left to record.
    :param outages: tries that an outage of MoEngage ended.
    :param deferrals: how often the task was deferred.
    :param cleared: how often the task had to be cleared, because it was unknown whether a process that was killed
        before its first checkpoint had sent events.
    :param gave_up: whether the task was not retried after a kill or a failure.
    :param damaged: by kind and way: how often a file of the snapshot was damaged.
    :param errors: attempts that ended with an error, because the snapshot could not be written.
    :param touched: foreign files, or files of other runs, that this run saw changed or deleted.
    :param violations: descriptions of what is wrong.
    """

    scenario: Scenario
    kills: Counter[str] = field(default_factory=Counter)
    tries: int = 0
    late: int = 0
    outages: int = 0
    deferrals: int = 0
    cleared: int = 0
    gave_up: bool = False
    damaged: Counter[str] = field(default_factory=Counter)
    errors: int = 0
    touched: int = 0
    found: verify.Found = field(default_factory=verify.Found)
    violations: list[str] = field(default_factory=list)
    seconds: float = 0.0


class Run:
    """
    One run of a scenario.

    :param sandbox: the run's own; it is reset first.
    :param folder: the run's own, and empty.
    :param shared: the folder for the staged and rejected rows of all runs.
    """

    def __init__(self, scenario: Scenario, sandbox: Sandbox, folder: Path, shared: Shared) -> None:
        self._scenario = scenario
        self._sandbox = sandbox
        self._folder = folder
        self._shared = shared
        self._rests = Random(f"{scenario.seed}/rests")
        self._chance = Random(f"{scenario.seed}/moments")
        self._result = Result(scenario)
        self._plan: Planned = rows_of(scenario)
        self._report: dict[str, Any] | None = None
        self._outage = False
        self._in_vain = 0
        self._process = 0
        self._has_checkpoint = False
        self._max_tries = MAX_TRIES

    def __call__(self) -> Result:
        """Run the task with its kills until it has succeeded, and return the result."""
        began = time.monotonic()
        write(self._scenario, self._plan, self._folder)
        self._prepare_sandbox()
        self._attempts()
        if not self._result.violations:
            self._judge()
        self._result.seconds = time.monotonic() - began
        return self._result

    def _attempts(self) -> str:
        """Begin attempts until one succeeds, or is not followed by another; return how the last one ended."""
        resumes, ended, end = None, "", Moment()
        while not self._is_over(ended):
            self._process += 1
            if ended != "deferred":
                self._begin_try()
            # A moment in rows continues across deferrals, other moments do not.
            if ended != "deferred" or end.rows is None:
                end = self._next_moment()
            given = self._given(
                self._scenario,
                self._folder,
                self._shared.root.url,
                self._sandbox.connection_json,
                self._shared.connection,
                self._process,
                self._result.tries,
                self._max_tries,
                resumes,
                end.file_operation,
                end.after_report,
            )
            outcome = self._attempted(given, end)
            ended, resumes = outcome["ended"], outcome.get("resumes")
            self._rest(f"after process {self._process} ({ended})", outcome.get("until", 0.0))
        return ended

    def _is_over(self, ended: str) -> bool:
        return ended == "success" or bool(self._result.violations)

    def _given(self, *arguments: Any) -> Attempt:
        return Attempt(*arguments)

    def _begin_try(self) -> None:
        self._result.tries += 1
        self._before, self._began, self._deferrals = self._settled(), time.monotonic(), 0

    def _next_moment(self) -> Moment:
        left = self._scenario.kills - self._result.kills.total()
        return moment(self._scenario, self._chance) if left > 0 else Moment()

    def _rest(self, when: str, until: float) -> None:
        """Wait for the next try, and check that nothing touches the files of this one meanwhile."""
        self._shared.root.settle(self._scenario.own_folder)
        own = self._shared.own(self._scenario)
        self._has_checkpoint = any(name.endswith(f"/{CHECKPOINT}") for name in own)
        self._shared.keep(own)
        time.sleep(max(0.0, until - time.time(), self._rests.uniform(0, RESTS)))
        for what in self._shared.touched():
            self._result.touched += 1
            self._violates(f"{what}, seen {when}")
        # The files of a run that has succeeded must stay unchanged.
        if not when.endswith("(success)"):
            self._shared.release(own)

    def _prepare_sandbox(self) -> None:
        self._sandbox.reset()
        chance = Random(f"{self._scenario.seed}/faults")
        self._sandbox.settings(seed=chance.randrange(2**31))
        self._put_faults()

    def _put_faults(self) -> None:
        # The first fault that fires decides, so these customers are always rejected.
        for customer in self._plan.rejected_there:
            self._sandbox.fault(kind="status", status=400, customer_id=customer)
        share = BULK_SHARE if self._scenario.bulk else SINGLE_SHARE
        for fault in FAULTS:
            self._sandbox.fault(**fault, rate=share)

    def _attempted(self, given: Attempt, end: Moment) -> dict[str, Any]:
        """Run one process to its end, and return the outcome that it recorded."""
        process = multiprocessing.get_context("forkserver").Process(
            target=attempt, args=(given,), daemon=True
        )
        with PROCESSES:
            process.start()
        self._accompany(process, end)
        process.join()
        after = self._settled()
        self._report = json.loads(given.report_file.read_bytes()) if given.report_file.exists() else None
        if process.exitcode == -signal.SIGKILL:
            if not self._result.violations:
                self._result.kills[end.what] += 1
                self._result.late += self._report is not None
            return {"ended": "killed"}
        if process.exitcode or not given.outcome_file.exists():
            self._violates(f"process {given.number} ended with {process.exitcode}")
            return {"ended": "broke"}
        outcome: dict[str, Any] = json.loads(given.outcome_file.read_bytes())
        self._check_exit(f"process {given.number}", outcome)
        if self._report is not None:
            self._check_report(f"the report of process {given.number}", self._report, after)
        return outcome

    def _accompany(self, process: Any, end: Moment) -> None:
        """Wait for the end of a process; kill it, or start an outage, at its moment."""
        began = time.monotonic()
        self._outage = False
        while is_alive(process):
            seconds = time.monotonic() - began
            if end.seconds is not None and seconds >= end.seconds:
                process.kill()
            elif end.rows is not None and not self._outage and self._applied() >= end.rows:
                if end.is_outage:
                    self._outage = True
                    self._result.outages += 1
                    self._sandbox.fault(**OUTAGE)
                else:
                    process.kill()
            elif seconds > HANGS:
                self._violates(f"a process did not end within {HANGS:.0f} s")
                process.kill()
            time.sleep(LOOK)
        if self._outage:
            self._sandbox.clear_faults()
            self._put_faults()

    def _applied(self) -> int:
        """Return the number of rows applied in this try."""
        state = self._sandbox.state()
        applied: int = sum(state[what] - self._before[what] for what in ("updates", "events"))
        return applied

    def _settled(self) -> dict[str, Any]:
        """
        Wait until the sandbox has responded to all requests, and return its counts.

        In production a retry comes minutes after a kill, when no request of the killed process is in flight.
        """
        seen = None
        while True:
            state = self._sandbox.state()
            if state["requests"] == sum(state["requests_by_status"].values()) == seen:
                return state
            seen = state["requests"]
            time.sleep(2 * LOOK)

    def _check_exit(self, process: str, outcome: dict[str, Any]) -> None:
        ended = outcome["ended"]
        if ended == "deferred":
            self._result.deferrals += 1
            self._deferrals += 1
        elif ended == "failed" and self._began_nowhere():
            self._result.cleared += 1
            self._max_tries = self._result.tries + MAX_TRIES
        elif ended in ("failed", "broke"):
            self._violates(f"{process} ended as {ended}: {outcome['message']}")
        elif self._report is None:
            self._violates(f"{process} ended as {ended} and pushed no report")
        self._in_vain = self._in_vain + 1 if ended == "retry" and not self._outage else 0
        if self._in_vain > MAX_IN_VAIN:
            self._violates(f"{process} and the {MAX_IN_VAIN} before it ended as retry: {outcome['message']}")

    def _began_nowhere(self) -> bool:
        """
        Whether the task may fail before it sends anything, as documented.

        This applies to events whose checkpoint is a file, if every try was killed before it wrote one.
        """
        scenario = self._scenario
        is_new = not self._has_checkpoint and self._sandbox.state()["requests"] == 0
        return is_new and scenario.kind == "events" and not scenario.state_store

    def _check_report(self, name: str, report: dict[str, Any], after: dict[str, Any]) -> None:
        """Check that the rows of a report add up, and that its counts per try are those of this try."""
        settled = report["accepted"] + report["rejected"] + report["unsent"] + report.get("unchanged", 0)
        if report["read"] != settled:
            self._violates(f"{name} does not add up: {report}")
        # A deferral is counted before it happens.
        deferrals = report["deferrals"] in (self._deferrals, self._deferrals + 1)
        requests = after["requests"] - self._before["requests"]
        if report["requests"] != requests:
            self._violates(f"{name} says {report['requests']} requests, and the sandbox saw {requests}")
        if not deferrals:
            self._violates(f"{name} says {report['deferrals']} deferrals, and there were {self._deferrals}")
        seconds = time.monotonic() - self._began
        if not 0 <= report["duration_seconds"] <= seconds:
            self._violates(
                f"{name} says {report['duration_seconds']} seconds of a try that took {seconds:.3f}"
            )

    def _judge(self) -> None:
        scenario, found, report = self._scenario, self._result.found, self._report or {}
        found.unknown = report["unknown"]
        files = self._shared.content(scenario)
        wrong, given_up = verify.rejected(self._plan, files, found)
        wrong += verify.counts(self._plan, report, found.rejected)
        wrong += verify.remains(self._folder / "state.json", files)
        unfinished = self._shared.root.unfinished_uploads(scenario.own_folder)
        if unfinished:
            wrong.append(f"the uploads of {', '.join(unfinished)} are unfinished")
        bent = self._sandbox.bent()
        if bent:
            wrong.append(f"the sandbox bent {bent[0]} and {len(bent) - 1} more")
        if scenario.kind == "users":
            wrong += verify.users(self._plan, self._sandbox.users(), found)
        else:
            most = 1 if scenario.on_unknown == "reject" else None
            wrong += verify.events(self._plan, self._sandbox.events(), given_up, most, found)
        for what in wrong[:MAX_NAMED]:
            self._violates(what)
        if len(wrong) > MAX_NAMED:
            (self._folder / "violations.txt").write_text("\n".join(wrong), encoding="utf-8")
            self._violates(f"and {len(wrong) - MAX_NAMED} more, see violations.txt")

    def _violates(self, what: str) -> None:
        self._result.violations.append(f"{self._scenario}: {what}")
