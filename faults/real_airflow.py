"""An Airflow in an empty home, such as ``airflow standalone``, controlled over its REST API."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

import requests

from faults.sessions import end_session, processes_of

ROOT = Path(__file__).resolve().parent.parent
DAGS = ROOT / "faults" / "dags"
#: Seconds.
START, BETWEEN_LOOKS = 180.0, 0.25
#: Number of log lines to print after a failure.
LAST_LINES = 60
#: Settings with which a dead worker is detected within seconds.
WATCHFUL = {
    "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT": "12",
    "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT_DETECTION_INTERVAL": "2",
    "AIRFLOW__SCHEDULER__SCHEDULER_HEARTBEAT_SEC": "1",
    "AIRFLOW__WORKERS__MIN_HEARTBEAT_INTERVAL": "2",
}
#: Settings of a small Airflow that needs no password.
SMALL = {
    "AIRFLOW__CORE__PARALLELISM": "3",
    "AIRFLOW__API__WORKERS": "1",
    "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
    "AIRFLOW__CORE__DAGS_ARE_PAUSED_AT_CREATION": "False",
    "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_ALL_ADMINS": "True",
    "AIRFLOW__USAGE_DATA_COLLECTION__ENABLED": "False",
}
#: The components of ``airflow standalone`` that report their health.
PARTS = ("metadatabase", "scheduler", "triggerer", "dag_processor")
ENDED = ("success", "failed", "upstream_failed", "skipped", "removed")


class AirflowGone(RuntimeError):
    """Airflow did not start, or did not respond in time; the message says what."""


@dataclass(frozen=True)
class Seen:
    """
    A task instance at one moment.

    :param at: a monotonic clock, in seconds.
    :param state: as Airflow names it; None before it is scheduled.
    :param pid: the process that ran it last.
    """

    at: float
    state: str | None
    try_number: int
    pid: int | None


class RealAirflow:
    """
    A running Airflow.

    :param url: the URL of its API server.
    :param session: the id of the session of all its processes; None: they have no common one.
    :param login: user and password; None: it needs none.
    """

    def __init__(self, url: str, session: int | None, login: tuple[str, str] | None = None) -> None:
        self.url = url
        self._session = session
        self._login = login
        self._http = requests.Session()
        # Bypass a proxy of the environment.
        self._http.trust_env = False

    def ask(self, method: str, path: str, body: Any = None) -> Any:
        """
        Send a request to the REST API.

        :param path: below ``/api/v2``.
        :raises requests.RequestException: there was no response, or an error.
        """
        if "Authorization" not in self._http.headers:
            self._http.headers["Authorization"] = f"Bearer {self._token()}"
        response = self._http.request(method, f"{self.url}/api/v2{path}", json=body, timeout=30)
        if not response.ok:
            raise requests.HTTPError(
                f"{method} {path}: {response.status_code} {response.text[:500]}", response=response
            )
        return response.json()

    def _token(self) -> str:
        if self._login is None:
            response = self._http.get(f"{self.url}/auth/token", timeout=30)
        else:
            login = dict(zip(("username", "password"), self._login, strict=True))
            response = self._http.post(f"{self.url}/auth/token", json=login, timeout=30)
        response.raise_for_status()
        return str(response.json()["access_token"])

    def start_run(self, dag_id: str, task_id: str = "push", **conf: Any) -> TaskOfRun:
        """Start a run of a DAG, and return one of its tasks."""
        run = self.ask("POST", f"/dags/{dag_id}/dagRuns", {"logical_date": None, "conf": conf})
        return TaskOfRun(self, dag_id, run["dag_run_id"], task_id)

    def unpause(self, dag_id: str) -> None:
        """Unpause a DAG, as the UI does when a run is triggered with that box ticked."""
        self.ask("PATCH", f"/dags/{dag_id}", {"is_paused": False})

    def owns(self, pid: int) -> bool:
        """Whether a running process belongs to this Airflow."""
        return self._session is not None and pid in processes_of(self._session)

    def wait_until_ready(
        self, dag_ids: Collection[str], *processes: subprocess.Popen[bytes], parts: Sequence[str] = PARTS
    ) -> None:
        """
        Wait until all components run and these DAGs are known.

        :param processes: those that were started, and do not end.
        :param parts: the components whose health is awaited.
        :raises AirflowGone: one exited, Airflow cannot import a DAG file, or takes too long.
        """
        deadline = time.monotonic() + START
        while not self._is_ready(dag_ids, parts):
            for process in processes:
                if process.poll() is not None:
                    raise AirflowGone(f"{_command(process)} ended with {process.returncode}")
            if time.monotonic() > deadline:
                raise AirflowGone(f"Airflow was not ready within {START:.0f} s")
            time.sleep(1)

    def _is_ready(self, dag_ids: Collection[str], parts: Sequence[str]) -> bool:
        try:
            health = self.ask("GET", "/monitor/health")
            known = {dag["dag_id"] for dag in self.ask("GET", "/dags")["dags"]}
            broken = self.ask("GET", "/importErrors")["import_errors"]
        except requests.RequestException:
            return False
        if broken:
            raise AirflowGone("\n".join(error["stack_trace"] for error in broken))
        return all(health[part]["status"] == "healthy" for part in parts) and known >= set(dag_ids)


class TaskOfRun:
    """A task of a DAG run."""

    def __init__(self, airflow: RealAirflow, dag_id: str, run_id: str, task_id: str) -> None:
        self._airflow = airflow
        self._dag_id = dag_id
        self._run_id = run_id
        self._task_id = task_id
        self._path = f"/dags/{dag_id}/dagRuns/{quote(run_id, safe='')}/taskInstances/{task_id}"

    @property
    def run_id(self) -> str:
        """The id of the run."""
        return self._run_id

    def other(self, task_id: str) -> TaskOfRun:
        """Return another task of the same run."""
        return TaskOfRun(self._airflow, self._dag_id, self._run_id, task_id)

    def look(self) -> Seen:
        """Return its current state."""
        found = self._airflow.ask("GET", self._path)
        return Seen(time.monotonic(), found["state"], found["try_number"], found["pid"])

    def watch(self, seconds: float) -> Iterator[Seen]:
        """
        Poll its state until it has ended, and yield each one, the final one included.

        :raises AirflowGone: it has not ended within this time.
        """
        deadline = time.monotonic() + seconds
        while True:
            seen = self.look()
            yield seen
            if seen.state in ENDED:
                return
            if seen.at > deadline:
                raise AirflowGone(f"{self._dag_id} has not ended within {seconds:.0f} s: {seen}")
            time.sleep(BETWEEN_LOOKS)

    def wait_for_run(self, seconds: float) -> None:
        """
        Wait until the run has ended, which is shortly after its task.

        :raises AirflowGone: it has not ended within this time.
        """
        deadline = time.monotonic() + seconds
        path = self._path.partition("/taskInstances/")[0]
        while self._airflow.ask("GET", path)["state"] not in ENDED:
            if time.monotonic() > deadline:
                raise AirflowGone(f"the run of {self._dag_id} has not ended within {seconds:.0f} s")
            time.sleep(BETWEEN_LOOKS)

    def report(self) -> dict[str, Any]:
        """Return the report that the task pushed last."""
        return dict(self.pushed("report"))

    def pushed(self, key: str) -> Any:
        """Return what the task pushed to XCom under a key; ``return_value``: what it returned."""
        return self._airflow.ask("GET", f"{self._path}/xcomEntries/{key}")["value"]

    def log(self) -> list[dict[str, Any]]:
        """Return the log of its last try, each line as the structure that Airflow stores."""
        path = f"{self._path}/logs/{self.look().try_number}?full_content=true"
        return list(self._airflow.ask("GET", path)["content"])

    def errors(self) -> list[str]:
        """Return the chain of exceptions in the log of its last try."""
        raised = (error for line in self.log() for error in line.get("error_detail") or ())
        return [f"{error['exc_type']}: {error['exc_value']}" for error in raised]

    def clear(self) -> None:
        """Clear it, like the button in the UI."""
        body = {
            "dry_run": False,
            "dag_run_id": self._run_id,
            "task_ids": [self._task_id],
            "only_failed": False,
        }
        self._airflow.ask(
            "POST", f"/dags/{self._dag_id}/clearTaskInstances", {**body, "reset_dag_runs": True}
        )


@contextmanager
def running_airflow(
    dags: Path, dag_ids: Collection[str], variables: Mapping[str, str]
) -> Iterator[RealAirflow]:
    """
    Start an Airflow in a home of its own, wait until it is ready, and on exit end all its processes.

    :param dags: the folder of its DAGs.
    :param dag_ids: the DAGs to wait for.
    :param variables: additional environment variables, such as connections.
    :raises AirflowGone: it did not start; the end of its log is printed.
    """
    with tempfile.TemporaryDirectory(prefix="faults-airflow-") as home, socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{probe.getsockname()[1]}"
        probe.close()
        log = Path(home, "standalone.log")
        program = Path(sys.executable).with_name("airflow")
        with log.open("wb") as output:
            process = subprocess.Popen(
                [program, "standalone"],
                env=environment(home, dags, url, variables),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                # Its processes are found by session, orphans included.
                start_new_session=True,
            )
        try:
            airflow = RealAirflow(url, process.pid)
            airflow.wait_until_ready(dag_ids, process)
            yield airflow
        except Exception:
            show_end_of(log)
            raise
        finally:
            end_session(process)


def show_end_of(log: Path) -> None:
    """Print the last lines of a log, without the requests that succeeded."""
    lines = log.read_text(errors="replace").splitlines()
    relevant = [line for line in lines if "[http.access]" not in line]
    print("\n".join(relevant[-LAST_LINES:]), file=sys.stderr)


def _command(process: subprocess.Popen[bytes]) -> str:
    arguments = process.args
    return " ".join(map(str, arguments)) if isinstance(arguments, list) else str(arguments)


def environment(home: str, dags: Path, url: str, variables: Mapping[str, str]) -> dict[str, str]:
    """
    Return the environment of an Airflow's processes: that of the caller, without its own Airflow's settings.

    :param home: the folder of its configuration and logs.
    :param dags: the folder of its DAGs.
    :param url: where its API server listens.
    :param variables: additional variables.
    """
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("AIRFLOW_")}
    paths = [str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]
    return {
        **inherited,
        # It starts its components with the command `airflow`.
        "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")]),
        "PYTHONPATH": os.pathsep.join(paths),
        "NO_PROXY": "127.0.0.1",
        "AIRFLOW_HOME": home,
        "AIRFLOW__CORE__DAGS_FOLDER": str(dags),
        "AIRFLOW__API__PORT": url.rpartition(":")[2],
        "AIRFLOW__API__HOST": "127.0.0.1",
        "AIRFLOW__CORE__EXECUTION_API_SERVER_URL": f"{url}/execution/",
        **SMALL,
        **WATCHFUL,
        **variables,
    }
