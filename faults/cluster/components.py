"""An Airflow with the Celery executor in an empty home: its components, and workers that can be killed."""

from __future__ import annotations

import os
import secrets
import signal
import socket
import subprocess
import sys
from collections.abc import Collection, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import requests
from cryptography.fernet import Fernet

from faults.real_airflow import AirflowGone, RealAirflow, environment, show_end_of
from faults.sessions import end_session, processes_of

#: The components besides the workers.
COMPONENTS = ("api-server", "scheduler", "dag-processor")
#: Those that report their health. Nothing is deferred, so there is no triggerer.
PARTS = ("metadatabase", "scheduler", "dag_processor")
#: The workers that run from the start, and the tasks that each of them runs at a time.
WORKERS, TASKS_PER_WORKER = 2, 4
#: Seconds.
MIGRATION = 300.0
#: What a deployment with Celery sets, as far as it differs from Airflow's defaults.
CELERY = {
    "AIRFLOW__CORE__EXECUTOR": "CeleryExecutor",
    "AIRFLOW__CORE__PARALLELISM": "16",
    "AIRFLOW__CELERY__WORKER_CONCURRENCY": str(TASKS_PER_WORKER),
    "AIRFLOW__CELERY__SYNC_PARALLELISM": "1",
    # The defaults, named because they matter: a message belongs to its worker until the task has ended, and comes back
    # after a day. A dead worker's tasks are not waited for that long: their heartbeats stop.
    "AIRFLOW__CELERY__TASK_ACKS_LATE": "True",
    "AIRFLOW__CELERY__WORKER_PREFETCH_MULTIPLIER": "1",
    "AIRFLOW__CELERY_BROKER_TRANSPORT_OPTIONS__VISIBILITY_TIMEOUT": "86400",
}


class Worker:
    """
    A Celery worker with all its processes.

    :param name: its host name towards Celery.
    :param process: the one that was started.
    """

    def __init__(self, name: str, process: subprocess.Popen[bytes]) -> None:
        self.name = name
        self._process = process

    def processes(self) -> list[int]:
        """Return the ids of its processes, those of tasks included."""
        return sorted(processes_of(self._process.pid))

    def kill(self) -> None:
        """Kill all its processes with SIGKILL, as if its machine had failed."""
        # Stopped first: none of them sees another one die, and tells Airflow.
        for signum in (signal.SIGSTOP, signal.SIGKILL):
            for pid in self.processes():
                with suppress(ProcessLookupError):
                    os.kill(pid, signum)


class Cluster:
    """
    A running Airflow with the Celery executor.

    :param airflow: its REST API.
    :param home: the folder of all its logs.
    """

    def __init__(
        self, airflow: RealAirflow, home: Path, variables: Mapping[str, str], stack: ExitStack
    ) -> None:
        self.airflow = airflow
        self.home = home
        self.workers: list[Worker] = []
        self._variables = variables
        self._stack = stack
        self._started = 0

    def start_worker(self) -> Worker:
        """Start another worker."""
        self._started += 1
        name = f"worker-{self._started}"
        process = self.start(name, "celery", "worker", "--celery-hostname", f"{name}@%h", "--skip-serve-logs")
        worker = Worker(name, process)
        self.workers.append(worker)
        return worker

    def start(self, name: str, *arguments: str) -> subprocess.Popen[bytes]:
        """
        Start a component, in a session of its own; it is killed at the end.

        :param name: of its log.
        :param arguments: of the command ``airflow``.
        """
        with self.log_of(name).open("wb") as output:
            process = subprocess.Popen(
                [airflow_program(), *arguments, "--pid", str(self.home / f"{name}.pid")],
                env=dict(self._variables),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self._stack.callback(end_session, process)
        return process

    def log_of(self, name: str) -> Path:
        """Return the file with the output of a component."""
        return self.home / "logs" / f"{name}.log"


@contextmanager
def running_cluster(
    home: Path, dags: Path, dag_ids: Collection[str], variables: Mapping[str, str]
) -> Iterator[Cluster]:
    """
    Migrate the database, start all components and two workers, and on exit kill all their processes.

    :param home: an empty folder for its configuration and logs.
    :param dags: the folder of its DAGs.
    :param dag_ids: the DAGs to wait for.
    :param variables: additional environment variables: the database, the broker, connections.
    :raises AirflowGone: it did not start; the ends of its logs are printed.
    """
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{probe.getsockname()[1]}"
    variables = environment(str(home), dags, url, {**CELERY, **_secrets(), **variables})
    (home / "logs").mkdir()
    with ExitStack() as stack:
        cluster = Cluster(RealAirflow(url, None), home, variables, stack)
        try:
            _migrate(cluster, variables)
            processes = [cluster.start(name, name) for name in COMPONENTS]
            for _ in range(WORKERS):
                cluster.start_worker()
            cluster.airflow.wait_until_ready(dag_ids, *processes, parts=PARTS)
            yield cluster
        except (AirflowGone, subprocess.SubprocessError, requests.RequestException):
            for log in sorted((home / "logs").glob("*.log")):
                print(f"-- {log.name}", file=sys.stderr)
                show_end_of(log)
            raise


def airflow_program() -> Path:
    """Return the command ``airflow`` of this environment."""
    return Path(sys.executable).with_name("airflow")


def _migrate(cluster: Cluster, variables: Mapping[str, str]) -> None:
    with cluster.log_of("migration").open("wb") as output:
        subprocess.run(
            [airflow_program(), "db", "migrate"],
            env=dict(variables),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            check=True,
            timeout=MIGRATION,
        )


def _secrets() -> dict[str, str]:
    """Return what all components of a deployment have to share."""
    return {
        "AIRFLOW__CORE__FERNET_KEY": Fernet.generate_key().decode(),
        "AIRFLOW__API__SECRET_KEY": secrets.token_hex(32),
        "AIRFLOW__API_AUTH__JWT_SECRET": secrets.token_hex(32),
    }
