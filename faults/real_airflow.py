"""An ``airflow standalone`` of one's own: started in an empty home, asked over its REST API, and ended with all it began."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

import psutil
import requests

ROOT = Path(__file__).resolve().parent.parent
#: Seconds.
START, END, BETWEEN_LOOKS = 180.0, 20.0, 0.25
#: Of its log, printed where something failed.
LAST_LINES = 60
#: A worker that died is noticed within seconds and not minutes.
WATCHFUL = {
    "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT": "12",
    "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT_DETECTION_INTERVAL": "2",
    "AIRFLOW__SCHEDULER__SCHEDULER_HEARTBEAT_SEC": "1",
    "AIRFLOW__WORKERS__MIN_HEARTBEAT_INTERVAL": "2",
}
#: One person's Airflow, which asks for no password.
SMALL = {
    "AIRFLOW__CORE__PARALLELISM": "3",
    "AIRFLOW__API__WORKERS": "1",
    "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
    "AIRFLOW__CORE__DAGS_ARE_PAUSED_AT_CREATION": "False",
    "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_ALL_ADMINS": "True",
    "AIRFLOW__USAGE_DATA_COLLECTION__ENABLED": "False",
}
ENDED = ("success", "failed", "upstream_failed", "skipped", "removed")


class AirflowGone(RuntimeError):
    """Airflow did not start, or something of it did not come in time; the message says what."""


@dataclass(frozen=True)
class Seen:
    """
    A task instance at one moment.

    :param at: a monotonic clock, in seconds.
    :param state: as Airflow names it; None before it is scheduled.
    :param pid: of the process that ran it last.
    """

    at: float
    state: str | None
    try_number: int
    pid: int | None


class RealAirflow:
    """
    A running Airflow.

    :param url: of its API server.
    :param session: the id of the session that all its processes are in.
    :param login: a user and the password; None where it asks for none.
    """

    def __init__(self, url: str, session: int, login: tuple[str, str] | None = None) -> None:
        self.url = url
        self._session = session
        self._login = login
        self._http = requests.Session()
        # A proxy of the environment has no part in this.
        self._http.trust_env = False

    def ask(self, method: str, path: str, body: Any = None) -> Any:
        """
        Ask the REST API.

        :param path: below ``/api/v2``.
        :raises requests.RequestException: it did not answer, or with an error.
        """
        if "Authorization" not in self._http.headers:
            self._http.headers["Authorization"] = f"Bearer {self._token()}"
        answer = self._http.request(method, f"{self.url}/api/v2{path}", json=body, timeout=30)
        if not answer.ok:
            raise requests.HTTPError(
                f"{method} {path}: {answer.status_code} {answer.text[:500]}", response=answer
            )
        return answer.json()

    def _token(self) -> str:
        if self._login is None:
            answer = self._http.get(f"{self.url}/auth/token", timeout=30)
        else:
            login = dict(zip(("username", "password"), self._login, strict=True))
            answer = self._http.post(f"{self.url}/auth/token", json=login, timeout=30)
        answer.raise_for_status()
        return str(answer.json()["access_token"])

    def start_run(self, dag_id: str, task_id: str = "push", **conf: Any) -> TaskOfRun:
        """Start a run of a DAG; what is returned follows one of its tasks."""
        run = self.ask("POST", f"/dags/{dag_id}/dagRuns", {"logical_date": None, "conf": conf})
        return TaskOfRun(self, dag_id, run["dag_run_id"], task_id)

    def unpause(self, dag_id: str) -> None:
        """Let the runs of a DAG begin, as the UI does with the box that is ticked when a run is triggered."""
        self.ask("PATCH", f"/dags/{dag_id}", {"is_paused": False})

    def owns(self, pid: int) -> bool:
        """Say whether a process runs and is one of this Airflow's."""
        return pid in _session(self._session)

    def wait_until_ready(self, dag_ids: Collection[str], process: subprocess.Popen[bytes]) -> None:
        """
        Wait until all its parts run and it knows these DAGs.

        :param process: that began it.
        :raises AirflowGone: it ended, cannot import a DAG file, or takes too long.
        """
        deadline = time.monotonic() + START
        while not self._is_ready(dag_ids):
            if process.poll() is not None:
                raise AirflowGone(f"airflow standalone ended with {process.returncode}")
            if time.monotonic() > deadline:
                raise AirflowGone(f"airflow standalone was not ready within {START:.0f} s")
            time.sleep(1)

    def _is_ready(self, dag_ids: Collection[str]) -> bool:
        try:
            health = self.ask("GET", "/monitor/health")
            parts = ("metadatabase", "scheduler", "triggerer", "dag_processor")
            known = {dag["dag_id"] for dag in self.ask("GET", "/dags")["dags"]}
            broken = self.ask("GET", "/importErrors")["import_errors"]
        except requests.RequestException:
            return False
        if broken:
            raise AirflowGone("\n".join(error["stack_trace"] for error in broken))
        return all(health[part]["status"] == "healthy" for part in parts) and known >= set(dag_ids)


class TaskOfRun:
    """A task of one run."""

    def __init__(self, airflow: RealAirflow, dag_id: str, run_id: str, task_id: str) -> None:
        self._airflow = airflow
        self._dag_id = dag_id
        self._run_id = run_id
        self._task_id = task_id
        self._path = f"/dags/{dag_id}/dagRuns/{quote(run_id, safe='')}/taskInstances/{task_id}"

    def look(self) -> Seen:
        """Give how it is now."""
        found = self._airflow.ask("GET", self._path)
        return Seen(time.monotonic(), found["state"], found["try_number"], found["pid"])

    def watch(self, seconds: float) -> Iterator[Seen]:
        """
        Give how it is, again and again, until it has ended; that comes last.

        :raises AirflowGone: it has not ended in so many seconds.
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
        Wait until the run has ended, which is a moment after its task has.

        :raises AirflowGone: it has not ended in so many seconds.
        """
        deadline = time.monotonic() + seconds
        path = self._path.partition("/taskInstances/")[0]
        while self._airflow.ask("GET", path)["state"] not in ENDED:
            if time.monotonic() > deadline:
                raise AirflowGone(f"the run of {self._dag_id} has not ended within {seconds:.0f} s")
            time.sleep(BETWEEN_LOOKS)

    def report(self) -> dict[str, Any]:
        """Give the report that the task pushed last."""
        value = self._airflow.ask("GET", f"{self._path}/xcomEntries/report")["value"]
        return dict(value)

    def errors(self) -> list[str]:
        """Give the errors that raised one another in its last try, as its log has them."""
        said = self._airflow.ask("GET", f"{self._path}/logs/{self.look().try_number}?full_content=true")
        raised = (error for line in said["content"] for error in line.get("error_detail") or ())
        return [f"{error['exc_type']}: {error['exc_value']}" for error in raised]

    def clear(self) -> None:
        """Clear it, as the button in the UI does."""
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
    Start an Airflow in a home of its own, wait until it is ready, and end it with every process that it began.

    :param dags: the folder of its DAGs.
    :param dag_ids: the DAGs to wait for.
    :param variables: of its environment, connections for example.
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
                env=_environment(home, dags, url, variables),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                # What it begins is found by its session, also what has lost its parent.
                start_new_session=True,
            )
        try:
            airflow = RealAirflow(url, process.pid)
            airflow.wait_until_ready(dag_ids, process)
            yield airflow
        except Exception:
            lines = log.read_text(errors="replace").splitlines()
            said = [line for line in lines if "[http.access]" not in line]
            print("\n".join(said[-LAST_LINES:]), file=sys.stderr)
            raise
        finally:
            end_session(process)


def _environment(home: str, dags: Path, url: str, variables: Mapping[str, str]) -> dict[str, str]:
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("AIRFLOW_")}
    paths = [str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]
    return {
        **inherited,
        # It calls its parts by the name `airflow`.
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


def _session(session: int) -> dict[int, psutil.Process]:
    """Give the processes of a session that run."""
    found = {}
    for process in psutil.process_iter():
        try:
            if os.getsid(process.pid) == session and process.status() != psutil.STATUS_ZOMBIE:
                found[process.pid] = process
        except (OSError, psutil.Error):
            continue
    return found


def end_session(process: subprocess.Popen[bytes]) -> None:
    """
    Kill a process and all that is in its session; what they wrote is thrown away, so there is nothing to be tidied.

    :param process: that began the session.
    :raises AirflowGone: some of them do not end.
    """
    deadline = time.monotonic() + END
    process.kill()
    while True:
        left = _session(process.pid)
        if not left:
            break
        if time.monotonic() > deadline:
            raise AirflowGone(f"these processes do not end: {sorted(left)}")
        for one in left.values():
            try:
                one.kill()
            except psutil.NoSuchProcess:
                continue
        time.sleep(0.1)
    # Only now: until then its id cannot be another's.
    process.wait()
