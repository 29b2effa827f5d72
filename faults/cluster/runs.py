"""Runs of the DAG on the cluster, and the death of a worker in the middle of one."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from faults.cluster.components import Cluster
from faults.cluster.servers import DAG_ID, LATENCY, Setup
from faults.findings import say
from faults.real_airflow import ENDED, AirflowGone

TASK_ID = "push"
#: Time-out of a run, and the time between two looks at it, in seconds.
AT_MOST, BETWEEN_LOOKS = 900.0, 0.5
#: The share of the users after which a worker is killed: its tasks are back before the others have sent the rest.
HALFWAY = 0.4


class Run:
    """
    A run of the DAG.

    :param cluster: where it runs.
    :param run_id: its id.
    """

    def __init__(self, cluster: Cluster, run_id: str) -> None:
        self.cluster = cluster
        self.run_id = run_id
        #: Its mapped tasks by map index, as Airflow's API described them last.
        self.tasks: dict[int, dict[str, Any]] = {}
        #: The monotonic time at which each try of each task was first seen running.
        self.running_since: dict[tuple[int, int], float] = {}

    @property
    def _path(self) -> str:
        return f"/dags/{DAG_ID}/dagRuns/{quote(self.run_id, safe='')}"

    @property
    def succeeded(self) -> bool:
        """Whether all tasks have succeeded."""
        return bool(self.tasks) and all(task["state"] == "success" for task in self.tasks.values())

    def look(self) -> bool:
        """Look at all tasks; return whether the run has ended."""
        found = self.cluster.airflow.ask("GET", f"{self._path}/taskInstances?limit=100")["task_instances"]
        self.tasks = {task["map_index"]: task for task in found if task["map_index"] >= 0}
        for index, task in self.tasks.items():
            if task["state"] == "running":
                self.running_since.setdefault((index, task["try_number"]), time.monotonic())
        return self.cluster.airflow.ask("GET", self._path)["state"] in ENDED

    def wait(self) -> None:
        """
        Wait until it has ended, and print the errors of tasks that failed.

        :raises AirflowGone: it takes too long.
        """
        deadline = time.monotonic() + AT_MOST
        while not self.look():
            if time.monotonic() > deadline:
                states = {index: task["state"] for index, task in self.tasks.items()}
                raise AirflowGone(f"the run has not ended within {AT_MOST:.0f} s: {states}")
            time.sleep(BETWEEN_LOOKS)
        for index, task in self.tasks.items():
            if task["state"] != "success":
                say(f"shard {index} ends as {task['state']}: {self._errors(index, task['try_number'])}")

    def reports(self) -> dict[int, dict[str, Any]]:
        """Return the report of each task."""
        return {index: dict(self._pushed(index, "report")) for index in sorted(self.tasks)}

    def _pushed(self, index: int, key: str) -> Any:
        path = f"{self._path}/taskInstances/{TASK_ID}/xcomEntries/{key}?map_index={index}"
        return self.cluster.airflow.ask("GET", path)["value"]

    def _errors(self, index: int, try_number: int) -> list[str]:
        path = f"{self._path}/taskInstances/{TASK_ID}/logs/{try_number}?map_index={index}&full_content=true"
        lines = self.cluster.airflow.ask("GET", path)["content"]
        raised = [error for line in lines for error in line.get("error_detail") or ()]
        return [f"{error['exc_type']}: {error['exc_value']}" for error in raised]


@dataclass(frozen=True)
class Death:
    """
    The death of a worker.

    :param at: the epoch second.
    :param monotonic: the same on the monotonic clock.
    :param done: the users that MoEngage had by then.
    :param victims: the tasks that were running on the worker, by map index.
    """

    at: float
    monotonic: float
    done: int
    victims: frozenset[int]


def start_run(cluster: Cluster) -> Run:
    """Start a run of the DAG."""
    run = cluster.airflow.ask("POST", f"/dags/{DAG_ID}/dagRuns", {"logical_date": None, "conf": {}})
    return Run(cluster, run["dag_run_id"])


def kill_halfway(run: Run, setup: Setup, users: int) -> Death:
    """
    Kill a worker when the run is about halfway and a window has just begun, and start another one.

    :param users: the users of the run.
    :raises AirflowGone: the run ends first, or does not come that far.
    """
    deadline = time.monotonic() + AT_MOST
    while setup.sandbox.state()["users"] < HALFWAY * users:
        if run.look() or time.monotonic() > deadline:
            raise AirflowGone(f"the run ended before a worker was killed, or takes too long: {run.tasks}")
        time.sleep(BETWEEN_LOOKS)
    worker = setup.cluster.workers[0]
    processes = set(worker.processes())
    run.look()
    victims = frozenset(
        index for index, task in run.tasks.items() if task["state"] == "running" and task["pid"] in processes
    )
    _wait_for_grants(setup)
    done = setup.sandbox.state()["users"]
    at, monotonic = time.time(), time.monotonic()
    worker.kill()
    say(
        f"{worker.name} is killed after {done:,} customers: {len(processes)} processes, "
        f"with the shards {sorted(victims)}"
    )
    say(f"{setup.cluster.start_worker().name} is started")
    return Death(at, monotonic, done, victims)


def _wait_for_grants(setup: Setup) -> None:
    """Wait until the next window has just begun: the tasks have been granted its units, and their requests are in flight."""
    window = setup.bulk_window()
    if window["remaining"] < window["limit"]:
        time.sleep(window["reset_seconds"] + LATENCY / 2)
