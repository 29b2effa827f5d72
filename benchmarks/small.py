"""Measures what one user takes: from the start of ``execute`` until the server has responded."""

from __future__ import annotations

import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from benchmarks.figures import FAR, Outcome, Sample
from benchmarks.processes import KEY, NO_LIMITS, WORKSPACE, Tasks, connection, contender
from benchmarks.sink import RunningSink, running_sink
from tests.support.forked_programs import ROOT, ForkedPrograms, running_forks

#: Runs of each contender, in turn: in fresh processes, and in one.
ROUNDS, WARM_ROUNDS = 15, 60
ROW = {"customer_id": "a1", "plan": "gold"}
BODY = {"type": "customer", "customer_id": "a1", "attributes": {"plan": "gold"}}
TASKS = Path(__file__).parent / "small_dag.py"

#: Milliseconds until the response, by contender and run.
Times = dict[str, list[float]]


def small(names: Sequence[str], repetitions: int) -> dict[str, Outcome]:
    """
    Measure members of the group.

    :param names: some of ``engine``, the hook in a process that has everything imported, and ``task``, the operator in a
        task of a DAG.
    """
    samples: dict[str, Outcome] = {}
    with running_sink() as sink:
        if "engine" in names:
            samples |= _engine(sink, max(WARM_ROUNDS, repetitions))
        if "task" in names:
            samples |= _task(sink, max(ROUNDS, repetitions))
    return samples


def _engine(sink: RunningSink, rounds: int) -> dict[str, Outcome]:
    environment = {"AIRFLOW_CONN_MOENGAGE_DEFAULT": connection(sink.url, limits=NO_LIMITS)}
    with contender(one_user, sink.url, environment=environment) as ready:

        def run(name: str, latency: float) -> float:
            _prepare(sink, latency)
            return _until_response(sink, latency, ready.run(name).count / 1e6)

        for name in ("ours", "post", "looked-up"):
            run(name, 0.0)
        near = _by_turns(("ours", "post", "looked-up"), rounds, lambda name: run(name, 0.0))
        far = _by_turns(("ours", "post"), rounds, lambda name: run(name, FAR))
    return {
        "small.engine.post": _ratio(near, "ours", "post"),
        "small.engine.looked-up": _ratio(near, "ours", "looked-up"),
        "small.engine.far": _ratio(far, "ours", "post"),
    }


def one_user(url: str) -> Tasks:
    """
    Prepare the hook, ``requests.post``, and the latter after a look-up of the connection.

    Each connects anew, and returns the epoch time in microseconds at which it began.
    """
    import requests

    from airflow_provider_moengage._compat import BaseHook
    from airflow_provider_moengage.hooks.moengage import MoEngageHook

    def ours() -> None:
        MoEngageHook().track_users([dict(ROW)])

    def post() -> None:
        address, auth = f"{url}/v1/customer/{WORKSPACE}", (WORKSPACE, KEY)
        requests.post(address, json=BODY, auth=auth, timeout=30).raise_for_status()

    def looked_up() -> None:
        found = BaseHook.get_connection("moengage_default")
        address = f"http://{found.host}:{found.port}/v1/customer/{found.login}"
        auth = (found.login or "", found.password or "")
        requests.post(address, json=BODY, auth=auth, timeout=30).raise_for_status()

    def timed(run: Callable[[], None]) -> int:
        began = time.time()
        run()
        return int(began * 1e6)

    contenders = {"ours": ours, "post": post, "looked-up": looked_up}
    return {name: partial(timed, run) for name, run in contenders.items()}


def _task(sink: RunningSink, rounds: int) -> dict[str, Outcome]:
    with _tasks(sink) as run:
        near = _by_turns(("ours", "changed", "post", "looked-up"), rounds, lambda name: run(name, 0.0))
        far = _by_turns(("ours", "looked-up"), rounds, lambda name: run(name, FAR))
    return {
        "small.task.post": _ratio(near, "ours", "post"),
        "small.task.looked-up": _ratio(near, "ours", "looked-up"),
        "small.task.changed": _ratio(near, "changed", "looked-up"),
        "small.task.far": _ratio(far, "ours", "looked-up"),
    }


@contextmanager
def _tasks(sink: RunningSink) -> Iterator[Callable[[str, float], float]]:
    """Yield what runs a task in a fresh process, which has imported Airflow, and returns its milliseconds."""
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        environment = _environment(home / "template")
        fields = connection(sink.url, limits=NO_LIMITS)
        for command in (
            ("db", "migrate"),
            ("connections", "add", "moengage_default", "--conn-json", fields),
        ):
            subprocess.run(
                [sys.executable, "-m", "airflow", *command], env=environment, check=True, capture_output=True
            )
        (home / "forks").mkdir()
        with running_forks(home / "forks", environment) as forks:

            def run(name: str, latency: float) -> float:
                _prepare(sink, latency)
                return _until_response(sink, latency, _started(forks, home, sink.url, name))

            run("ours", 0.0)
            yield run


def _started(forks: ForkedPrograms, home: Path, url: str, name: str) -> float:
    """Run the DAG with one contender, and return the epoch time at which its task began."""
    folder = Path(tempfile.mkdtemp(dir=home))
    shutil.copy(home / "template" / "airflow.db", folder)
    times = folder / "times"
    environment = {
        **_environment(folder),
        "AIRFLOW__CORE__DAGS_FOLDER": str(TASKS.parent),
        "BENCHMARK_CONTENDER": name,
        "BENCHMARK_SINK": url,
        "BENCHMARK_FOLDER": str(folder),
    }
    code, printed = forks.run(ROOT / "demo" / "run_dag.py", TASKS, folder / "result", env=environment)
    if code or json.loads((folder / "result").read_text())["state"] != "success":
        raise RuntimeError(f"the DAG failed with {name}:\n{printed}")
    return float(times.read_text())


def _environment(home: Path) -> dict[str, str]:
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith("AIRFLOW_") and not name.lower().endswith("_proxy")
    }
    return {
        **kept,
        "PYTHONPATH": str(ROOT),
        "AIRFLOW_HOME": str(home),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__USAGE_DATA_COLLECTION__ENABLED": "False",
    }


def _prepare(sink: RunningSink, latency: float) -> None:
    sink.settings(latency=latency, limit=10**9, window=60.0)


def _until_response(sink: RunningSink, latency: float, started: float) -> float:
    """Return the milliseconds from an epoch time to the only response of the sink."""
    counters = sink.counters()
    if counters["units"] != 1:
        raise RuntimeError(f"the sink counted {counters['units']} users instead of one")
    # The sink notes a request half of its latency before it responds.
    return float(1000 * (counters["last"] + latency / 2 - started))


def _by_turns(names: Sequence[str], rounds: int, run: Callable[[str], float]) -> Times:
    times: Times = {name: [] for name in names}
    for _ in range(rounds):
        for name in names:
            times[name].append(run(name))
    return times


def _ratio(times: Mapping[str, list[float]], ours: str, rival: str) -> Sample:
    own, others = times[ours], times[rival]
    medians = {name: round(statistics.median(runs), 2) for name, runs in ((ours, own), (rival, others))}
    return Sample(
        statistics.median(own) / statistics.median(others),
        [one / other for one, other in zip(own, others, strict=True)],
        {"milliseconds": medians},
    )
