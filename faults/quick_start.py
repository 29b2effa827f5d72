"""
Follows the documentation's quick start and tutorial literally.

In an empty folder, with an environment that ``pip`` fills from the registry, ``airflow standalone`` and its REST API.
"""

from __future__ import annotations

import json
import os
import shlex
import socket
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote, urlsplit

from airflow_provider_moengage.sandbox.client import Sandbox
from faults.findings import Findings, say
from faults.quick_start_page import (
    CHECKOUT,
    FOLDER,
    IN_TERMINAL,
    PAGE,
    SANDBOX_PORT,
    TUTORIAL,
    Block,
    Reader,
    Run,
    blocks_of,
)
from faults.real_airflow import ROOT, AirflowGone, RealAirflow, TaskOfRun
from faults.sessions import end_session
from faults.terminal import CommandFailed, Terminal

DAG_ID = "quick_start"
READY = "Airflow is ready"
PASSWORDS = Path("airflow", "simple_auth_manager_passwords.json.generated")
#: Seconds: the time that each page promises, and the time-outs of Airflow's start and of a run.
PROMISED, START, RUN = 600.0, 180.0, 180.0
#: Where the pages write besides their folder.
OUTPUT = "/tmp/moengage"
NOT_INSTALLED = "Installing needs a network, or a package index that pip is configured for."
#: Maximum characters of a command in the output.
SHOWN = 80


@dataclass
class Replacements:
    """
    The differences between the page and what is executed.

    :param texts: by text of the page, its replacement.
    :param variables: environment variables that are set from the start.
    """

    texts: dict[str, str]
    variables: dict[str, str] = field(default_factory=dict)
    sandbox_port: str = SANDBOX_PORT
    airflow_port: str = "8080"

    @classmethod
    def on_this_machine(cls, folder: Path) -> Replacements:
        """Return the paths of the checkout and of the folder, and a free port in place of each port in use."""
        found = cls({CHECKOUT: shlex.quote(str(ROOT)), FOLDER: str(folder)})
        # Bypass a proxy of the environment.
        found.variables["NO_PROXY"] = "localhost,127.0.0.1"
        if is_in_use(SANDBOX_PORT):
            found.use_sandbox_port(free_port())
        if is_in_use(found.airflow_port):
            found.airflow_port = free_port()
            found.variables["AIRFLOW__API__PORT"] = found.airflow_port
            url = f"http://localhost:{found.airflow_port}/execution/"
            found.variables["AIRFLOW__CORE__EXECUTION_API_SERVER_URL"] = url
        for port, name in (("8793", "WORKER_LOG_SERVER_PORT"), ("8794", "TRIGGER_LOG_SERVER_PORT")):
            if is_in_use(port):
                found.variables[f"AIRFLOW__LOGGING__{name}"] = free_port()
        return found

    def use_sandbox_port(self, port: str) -> None:
        """Make the sandbox listen on another port than the page's."""
        self.sandbox_port = port
        self.texts["moengage-sandbox "] = f"moengage-sandbox --port {port} "
        self.texts[SANDBOX_PORT] = port

    def __iter__(self) -> Iterator[str]:
        for old, new in self.texts.items():
            yield f"{old.strip()} in the page is {new.strip()}"
        for name, value in self.variables.items():
            yield f"{name} is set to {value}"


def follow(findings: Findings) -> None:
    """Follow both pages from beginning to end, and check what they say."""
    with tempfile.TemporaryDirectory(prefix="quick-start-") as name:
        folder = Path(name).resolve() / "quick-start"
        folder.mkdir()
        own = Path(name).resolve() / "moengage"
        replacements = Replacements.on_this_machine(folder)
        replacements.texts[OUTPUT] = str(own)
        for line in replacements:
            say(line)
        with terminals(folder, own_environment(replacements)) as both:
            airflow = StandaloneAirflow(folder, replacements.airflow_port)
            reader = Reader(folder, replacements.texts, both, airflow, findings.expect)
            try:
                follow_page(PAGE, reader, findings)
                check_outcome(reader.report or {}, replacements.sandbox_port, findings)
                follow_page(TUTORIAL, reader, findings)
            except (CommandFailed, AirflowGone) as error:
                say(str(error))
                findings.expect("every command of the pages succeeds", False)


def follow_page(page: Path, reader: Reader, findings: Findings) -> None:
    """Execute the blocks of a page, and check that it takes no longer than it promises."""
    began = time.monotonic()
    for block in blocks_of(page):
        do(block, reader)
    took = time.monotonic() - began
    findings.expect(
        f"{page.name} took {took // 60:.0f} min {took % 60:.0f} s, at most {PROMISED / 60:.0f} min",
        took <= PROMISED,
    )


def do(block: Block, reader: Reader) -> None:
    """Execute a block of the page, and print how long it took."""
    began = time.monotonic()
    try:
        reader.follow(block)
    except CommandFailed as error:
        if not block.installs:
            raise
        raise CommandFailed(f"{error}\n{NOT_INSTALLED}") from error
    if block.language == "bash":
        for line in block.text.splitlines():
            say(f"$ {line[:SHOWN]}")
        say(f"  {time.monotonic() - began:.1f} s")
    elif block.title is not None:
        say(f"saved {block.title}")


class StandaloneAirflow:
    """
    Starts ``airflow standalone``, and does over the REST API what the pages do in the UI.

    :param folder: the folder in which the pages are followed.
    :param port: of the API server.
    """

    def __init__(self, folder: Path, port: str) -> None:
        self._folder = folder
        self._url = f"http://localhost:{port}"
        self._airflow: RealAirflow | None = None

    def start(self, terminal: Terminal, commands: str) -> Run:
        """Start Airflow, log in with the password that it generated, and run the DAG of the quick start."""
        began = time.monotonic()
        terminal.begin(commands)
        terminal.wait_for(lambda: READY in terminal.printed(), START, READY)
        say(f"Airflow is ready after {time.monotonic() - began:.1f} s")
        password = json.loads((self._folder / PASSWORDS).read_text())["admin"]
        self._airflow = RealAirflow(self._url, terminal.process.pid, ("admin", password))
        self._airflow.wait_until_ready([DAG_ID], terminal.process)
        say(f"{DAG_ID} is known after {time.monotonic() - began:.1f} s")
        self._airflow.unpause(DAG_ID)
        self._airflow.ask("POST", f"/dags/{DAG_ID}/dagRuns", {"logical_date": None})
        return self._last_run(DAG_ID)

    def run(self, terminal: Terminal, commands: str, dag_id: str) -> Run:
        """Execute commands that run a DAG, either in the terminal, which then shows its log, or under the Airflow."""
        printed = terminal.run(commands, RUN)
        run = self._last_run(dag_id)
        return Run(run.report, printed) if IN_TERMINAL in commands else run

    def _last_run(self, dag_id: str) -> Run:
        assert self._airflow is not None
        path = f"/dags/{dag_id}/dagRuns"
        (run,) = self._airflow.ask("GET", f"{path}?order_by=-run_after&limit=1")["dag_runs"]
        run_id = run["dag_run_id"]
        (instance,) = self._airflow.ask("GET", f"{path}/{quote(run_id, safe='')}/taskInstances")[
            "task_instances"
        ]
        task = TaskOfRun(self._airflow, dag_id, run_id, instance["task_id"])
        began = time.monotonic()
        *_, last = task.watch(RUN)
        task.wait_for_run(RUN)
        say(f"{dag_id} is {last.state} {time.monotonic() - began:.1f} s after it was started")
        if last.state != "success":
            raise CommandFailed("\n".join([f"{dag_id} is {last.state}", *task.errors()]))
        return Run(task.report(), "\n".join(str(line["event"]) for line in task.log()))


def check_outcome(report: dict[str, Any], sandbox_port: str, findings: Findings) -> None:
    """Check that the sandbox and the folder of rejected rows match the report."""
    users = Sandbox(f"http://127.0.0.1:{sandbox_port}").state()["users"]
    findings.expect(f"the sandbox has as many users as were accepted: {users}", users == report["accepted"])
    rejected = sum(len(part.read_text().splitlines()) for part in rejected_folder(report).iterdir())
    findings.expect(
        f"the folder has as many rows as were rejected: {rejected}", rejected == report["rejected"]
    )


def rejected_folder(report: dict[str, Any]) -> Path:
    """Return the folder of this run's rejected rows."""
    return Path(unquote(urlsplit(report["rejected_path"]).path))


@contextmanager
def terminals(folder: Path, environment: dict[str, str]) -> Iterator[tuple[Terminal, Terminal]]:
    """Open two terminals in a folder; on exit, end every process that was started in them."""
    opened: list[Terminal] = []
    try:
        for number in (1, 2):
            # Next to the folder, which must be empty.
            output = folder.with_name(f"terminal-{number}.txt")
            opened.append(Terminal(folder, environment, output))
        yield opened[0], opened[1]
    finally:
        for terminal in opened:
            end_session(terminal.process)


def own_environment(replacements: Replacements) -> dict[str, str]:
    """Return the environment of a new terminal, without variables of this project."""
    foreign = ("AIRFLOW", "PYTHON", "VIRTUAL_ENV", "MAKE", "UV_")
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(foreign)}
    return {**inherited, **replacements.variables}


def is_in_use(port: str) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", int(port))) == 0


def free_port() -> str:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return str(probe.getsockname()[1])
