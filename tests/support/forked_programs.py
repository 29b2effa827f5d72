"""
Runs Python programs that use Airflow, each in a process of its own that is forked from one which has imported Airflow.

Importing Airflow and building its API app takes seconds, and many tests run such a program. Before the fork nothing of
this package is imported but what Airflow reads of every provider, and no thread is started; each program has the
environment and the Airflow home that it is given, as if it had been started by itself.

``python -m tests.support.forked_programs``: reads one program a line, as JSON, and answers each with a line that has its exit code.
"""

from __future__ import annotations

import gc
import json
import os
import runpy
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from importlib import import_module
from pathlib import Path
from typing import Any

from sqlalchemy.orm import configure_mappers

ROOT = Path(__file__).resolve().parents[2]


class ForkedPrograms:
    """Runs programs through the process of :func:`running_forks`."""

    def __init__(self, process: subprocess.Popen[str], folder: Path) -> None:
        self._process = process
        self._output = folder / "output"
        self._errors = folder / "errors"

    def run(self, *command: str | Path, env: Mapping[str, str]) -> tuple[int, str]:
        """
        Run a program to its end, and return its exit code and what it printed.

        :param command: the program's file and its arguments.
        """
        order = {
            "argv": [str(part) for part in command],
            "env": dict(env),
            "cwd": str(Path.cwd()),
            "output": str(self._output),
        }
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(order) + "\n")
        self._process.stdin.flush()
        answer = self._process.stdout.readline()
        if not answer:
            said = self._errors.read_text("utf-8", "replace")
            raise RuntimeError(f"the process that forks ended with {self._process.wait()}:\n{said}")
        return int(answer), self._output.read_text("utf-8", "replace")


@contextmanager
def running_forks(folder: Path, env: Mapping[str, str]) -> Iterator[ForkedPrograms]:
    """
    Run a process that forks programs until the end of the block.

    :param folder: an empty folder for what the programs print.
    :param env: its environment, with an Airflow home of its own.
    """
    with (
        open(folder / "errors", "wb") as errors,
        subprocess.Popen(
            [sys.executable, "-m", "tests.support.forked_programs"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
            cwd=ROOT,
            env=dict(env),
        ) as process,
    ):
        try:
            yield ForkedPrograms(process, folder)
        finally:
            process.kill()


def _import_airflow() -> None:
    """Import what ``dag.test()`` takes, and build what it builds without a thread."""
    for module in (
        "airflow.models",
        "airflow.dag_processing.dagbag",
        "airflow.sdk.execution_time.task_runner",
    ):
        with suppress(ImportError):
            import_module(module)
    with suppress(ImportError):
        from airflow.sdk.execution_time.supervisor import in_process_api_server

        # Cadwyn makes the routes of all versions at the first request.
        in_process_api_server().app._cadwyn_initialize()
    configure_mappers()


def _become(order: dict[str, Any]) -> None:
    """Be the program from now on."""
    output = os.open(order["output"], os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.dup2(output, 1)
    os.dup2(output, 2)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.chdir(order["cwd"])
    os.environ.clear()
    os.environ.update(order["env"])
    sys.argv = order["argv"]
    sys.path[:1] = [
        os.path.dirname(sys.argv[0]),
        *filter(None, os.environ.get("PYTHONPATH", "").split(os.pathsep)),
    ]
    # Airflow has its defaults from the home that it was imported with.
    home = os.environ["AIRFLOW_HOME"]
    os.environ.setdefault("AIRFLOW__DATABASE__SQL_ALCHEMY_CONN", f"sqlite:///{home}/airflow.db")
    os.environ.setdefault("AIRFLOW__CORE__DAGS_FOLDER", f"{home}/dags")
    os.environ.setdefault("AIRFLOW__CORE__PLUGINS_FOLDER", f"{home}/plugins")
    os.environ.setdefault("AIRFLOW__LOGGING__BASE_LOG_FOLDER", f"{home}/logs")
    from airflow import settings

    settings.dispose_orm()
    settings.initialize()
    runpy.run_path(sys.argv[0], run_name="__main__")


def main() -> None:
    # What Airflow prints while it is imported is no answer.
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    _import_airflow()
    gc.freeze()
    for order in sys.stdin:
        child = os.fork()
        if not child:
            answers.close()
            return _become(json.loads(order))
        _, status = os.waitpid(child, 0)
        print(os.waitstatus_to_exitcode(status), file=answers, flush=True)


if __name__ == "__main__":
    main()
