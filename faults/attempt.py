"""One attempt of a task in a process of its own, doing what a worker does; no state in memory survives a kill."""

from __future__ import annotations

import errno
import json
import os
import signal
import sys
import traceback
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from urllib.request import url2pathname

from aiobotocore.client import AioBaseClient

from airflow_provider_moengage.api import client
from airflow_provider_moengage.exceptions import MoEngageIncompleteRun, MoEngageTaskFailed
from airflow_provider_moengage.hooks.moengage import MoEngageHook
from airflow_provider_moengage.operators.events import MoEngageTrackEventsOperator
from airflow_provider_moengage.operators.users import MoEngageTrackUsersOperator
from faults.changed_only.rows import rows_of
from faults.scenarios import TASK_ID, Scenario
from faults.state_store import FileStateStore, replace

try:
    from airflow.sdk.exceptions import TaskDeferred
except ImportError:
    from airflow.exceptions import TaskDeferred

# Imported dynamically at run time; importing them here loads them before the processes are forked.
import airflow.providers.amazon.aws.fs.s3
import airflow.providers.sqlite.hooks.sqlite  # noqa: F401
import s3fs  # noqa: F401

#: Far more than a run needs.
MAX_TRIES = 200
#: Retries come after milliseconds, so that a run takes seconds.
FIRST_BACKOFF = 0.01
#: The maximum body of a Bulk Import request; small, so that many requests are in flight.
BULK_BYTES = 15_000
#: Seconds; a window of the sandbox is one second.
DEFER_THRESHOLD = 0.1
#: File operations, as Python's audit hooks name them.
FILE_OPERATIONS = frozenset(
    {"open", "os.link", "os.mkdir", "os.remove", "os.rename", "os.rmdir", "os.truncate"}
)
#: The usual rows between two checkpoints, where only changed rows are sent.
CHANGED_SEGMENT_ROWS = 100
#: Requests to S3 that need space, and the same of operations on files.
S3_WRITES = frozenset({"PutObject", "CreateMultipartUpload", "UploadPart", "CompleteMultipartUpload"})
FILE_WRITES = frozenset({"os.link", "os.mkdir"})
#: Those with a source path and a destination path.
TWO_PATHS = frozenset({"os.link", "os.rename"})


@dataclass(frozen=True)
class Attempt:
    """
    One process of a task: a try, or its continuation after a deferral.

    :param folder: the folder of the run, with its source, state and reports.
    :param shared: the URL of the folder that all runs share, for staged rows, rejected rows and checkpoints.
    :param connection: the connection to the sandbox, as JSON.
    :param lake: the connection to the shared folder's server, as JSON; None: it needs none.
    :param number: the number of the process in the run, from 1.
    :param try_number: as Airflow counts it: resuming after a deferral is the same try.
    :param max_tries: as Airflow counts them: clearing a task raises it.
    :param resumes: the method to call instead of ``execute``, and its arguments.
    :param killed_before: the number of the file operation before which the process kills itself, from 1; None: none.
    :param after_report: whether file operations count only from the report on.
    :param snapshots: the URL of the folder of snapshots; None: the shared folder.
    :param full_from: the number of the file operation from which on nothing can be written any more, from 1; None: none.
    """

    scenario: Scenario
    folder: Path
    shared: str
    connection: str
    lake: str | None
    number: int
    try_number: int
    max_tries: int = MAX_TRIES
    resumes: tuple[str, dict[str, Any]] | None = None
    killed_before: int | None = None
    after_report: bool = False
    snapshots: str | None = None
    full_from: int | None = None

    @property
    def outcome_file(self) -> Path:
        """The file in which the process records its outcome."""
        return self.folder / f"outcome-{self.number}.json"

    @property
    def report_file(self) -> Path:
        """The file with the report that the process pushed."""
        return self.folder / f"report-{self.number}.json"

    @property
    def log_file(self) -> Path:
        """The log of the process."""
        return self.folder / f"log-{self.number}.txt"

    @property
    def state_file(self) -> Path:
        """The file with Airflow's state of the task."""
        return self.folder / "state.json"

    @property
    def own_paths(self) -> tuple[str, ...]:
        """The prefixes of the paths that belong to the process."""
        if self.scenario.place != "local":
            return (str(self.folder),)
        return (str(self.folder), f"{url2pathname(urlsplit(self.shared).path)}/{self.scenario.dag_id}")

    @property
    def database(self) -> Path:
        """The database with the source table."""
        return self.folder / "warehouse.db"


@dataclass
class TaskInstance:
    """
    The parts of a task instance that an operator may use.

    :param report_file: the file for the report that is pushed to XCom.
    """

    report_file: Path
    try_number: int
    dag_id: str
    run_id: str
    map_index: int
    max_tries: int
    task_id: str = TASK_ID

    def xcom_push(self, key: str, value: Any) -> None:
        """Store the report."""
        if key == "report":
            replace(self.report_file, json.dumps(value))


def attempt(given: Attempt) -> None:
    """Run the operator and record its outcome; the main function of the process."""
    log = os.open(given.log_file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    os.dup2(log, 1)
    os.dup2(log, 2)
    for name in [name for name in os.environ if name.lower().endswith("_proxy")]:
        del os.environ[name]
    os.environ["AIRFLOW_CONN_MOENGAGE_DEFAULT"] = given.connection
    os.environ["AIRFLOW_CONN_WAREHOUSE"] = json.dumps({"conn_type": "sqlite", "host": str(given.database)})
    if given.lake is not None:
        os.environ["AIRFLOW_CONN_LAKE_CONN"] = given.lake
    client.FIRST_BACKOFF = FIRST_BACKOFF
    scenario = given.scenario
    ti = TaskInstance(
        given.report_file,
        given.try_number,
        scenario.dag_id,
        scenario.run_id,
        scenario.map_index,
        given.max_tries,
    )
    context: dict[str, Any] = {"ti": ti}
    if scenario.state_store:
        context["task_state_store"] = FileStateStore(given.state_file)
    if scenario.data is not None:
        MoEngageHook.segment_rows = CHANGED_SEGMENT_ROWS
    if given.killed_before is not None or given.full_from is not None:
        _interfere(given)
    method, arguments = given.resumes or ("execute", {})
    outcome: dict[str, Any] = {}
    try:
        getattr(_operator(given), method)(context, **arguments)
        outcome["ended"] = "success"
    except MoEngageIncompleteRun as error:
        outcome |= {"ended": "retry", "message": str(error)}
    except MoEngageTaskFailed as error:
        outcome |= {"ended": "failed", "message": str(error)}
    except TaskDeferred as deferred:
        arguments = {"event": None, **(deferred.kwargs or {})}
        outcome |= {"ended": "deferred", "resumes": [deferred.method_name, arguments]}
        outcome["until"] = deferred.trigger.serialize()[1]["moment"].timestamp()
    except BaseException:
        outcome |= {"ended": "broke", "message": traceback.format_exc()}
    replace(given.outcome_file, json.dumps(outcome))


def _operator(given: Attempt) -> Any:
    scenario = given.scenario
    parameters: dict[str, Any] = {
        "task_id": TASK_ID,
        "retries": MAX_TRIES,
        "rejected_path": given.shared,
        # A share, so that it suits a run of any length.
        "max_rejected": 0.9,
        "bulk": scenario.bulk,
        "deferrable": scenario.deferrable,
        "defer_threshold": DEFER_THRESHOLD,
    }
    if scenario.source == "sql" or not scenario.state_store:
        parameters["staging_path"] = given.shared
    if scenario.bulk:
        parameters["max_bytes"] = BULK_BYTES
    if scenario.data is not None:
        parameters |= {"changed_only": True, "snapshot_path": given.snapshots or given.shared}
        parameters["attributes"] = ["plan"]
    if scenario.kind == "events":
        parameters["on_unknown"] = scenario.on_unknown
    if scenario.source == "list":
        parameters[scenario.kind] = rows_of(scenario).rows
    elif scenario.source == "sql":
        parameters |= {"sql": "select * from source order by number", "sql_conn_id": "warehouse"}
    else:
        parameters["path"] = (given.folder / "source").as_uri()
        if scenario.format.startswith("csv") and scenario.data is None:
            parameters["types"] = {"number": "number"}
    operators = {"users": MoEngageTrackUsersOperator, "events": MoEngageTrackEventsOperator}
    return operators[scenario.kind](**parameters)


def _interfere(given: Attempt) -> None:
    """
    Kill this process before its ``killed_before``-th operation on a file of its run, or fill the disk from one on.

    Operations on other files do not count; every request to S3 does.
    """
    own, report, folder = given.own_paths, str(given.report_file), str(given.folder)
    seen, began = 0, not given.after_report

    def count(*, writes: bool) -> None:
        nonlocal seen
        seen += began
        if seen == given.killed_before:
            os.kill(os.getpid(), signal.SIGKILL)
        if writes and given.full_from is not None and seen >= given.full_from:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def watch(event: str, arguments: tuple[Any, ...]) -> None:
        nonlocal began
        # If an operation has two paths, the second one counts.
        if event in FILE_OPERATIONS and (path := str(arguments[event in TWO_PATHS])).startswith(own):
            began = began or path == report
            writes = event in FILE_WRITES or (event == "open" and bool(arguments[2] & os.O_ACCMODE))
            # The folder of the run stands for Airflow's database.
            count(writes=writes and not path.startswith(folder))

    call = AioBaseClient._make_api_call

    async def watched_call(client: Any, operation: str, *arguments: Any) -> Any:
        count(writes=operation in S3_WRITES)
        return await call(client, operation, *arguments)

    sys.addaudithook(watch)
    AioBaseClient._make_api_call = watched_call
