"""
Every command of the README and of the documentation is run by a test.

The quick start, the tutorial and the recipes have tests of their own. Every other block is run here, command by command, in an
empty folder. Three programs are stand-ins: ``pip`` and ``airflow`` write down what they are asked for, which is then checked, and
``make`` only prints what it would do.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import distribution, metadata
from pathlib import Path

import pytest
from airflow.models.connection import Connection
from packaging.requirements import Requirement

from airflow_provider_moengage.get_provider_info import get_provider_info
from airflow_provider_moengage.hooks.moengage import MoEngageHook
from airflow_provider_moengage.sandbox import running_sandbox
from faults.quick_start import free_port, terminals
from faults.quick_start_page import CHECKOUT, SANDBOX_PORT, TUTORIAL, blocks_of
from faults.quick_start_page import PAGE as QUICK_START
from faults.terminal import Terminal
from tests.support.dag_runs import ROOT, airflow_environment
from tests.support.leaks import KEY, OUTPUT
from tests.test_docs import AIRFLOW_MAJOR, PAGES
from tests.test_recipes import CI_COMMANDS

FENCE = re.compile(r"^ *```(\w+)[^\n]*\n(.*?)^ *```$", re.MULTILINE | re.DOTALL)
#: Other names of the language of commands, whose blocks would not be found.
SHELLS = {"sh", "shell", "zsh", "console", "shell-session"}
#: How a sandbox is started; it occupies a terminal.
SERVERS = ("moengage-sandbox ", "python -m airflow_provider_moengage.sandbox ")
DISTRIBUTION = "airflow-provider-moengage"
#: The commands of one version of Airflow alone.
ONLY_IN = {"airflow backfill": 3, "airflow dags backfill": 2}
#: Its options are those of a provider of Airflow's that may not be installed.
OPENLINEAGE = {"TRANSPORT", "NAMESPACE"}


@dataclass(frozen=True)
class Block:
    page: str
    number: int
    text: str

    @property
    def is_followed(self) -> bool:
        """Whether test_quick_start.py or test_recipes.py runs it; the README has the quick start's commands too."""
        quick_start = [line for block in blocks_of(QUICK_START) for line in block.text.splitlines()]
        return (
            self.page in (QUICK_START.name, TUTORIAL.name)
            or self.text == CI_COMMANDS
            or (self.page == "README.md" and set(self.text.splitlines()) <= set(quick_start))
        )

    @property
    def commands(self) -> Iterator[str]:
        """The commands, each with the lines that its quotes span."""
        command = ""
        for line in self.text.splitlines():
            command += line
            try:
                words = shlex.split(command, comments=True)
            except ValueError:
                command += "\n"
                continue
            if words:
                yield command
            command = ""
        assert not command, f"a quote in {self} does not end"


BLOCKS = [
    Block(page.name, number, text)
    for page in PAGES
    for number, (language, text) in enumerate(FENCE.findall(page.read_text()))
    if language == "bash"
]


def test_every_block_of_commands_is_found() -> None:
    for page in PAGES:
        fences = re.findall(r"^ *```(.*)$", page.read_text(), re.MULTILINE)
        assert not SHELLS & {fence.partition(" ")[0] for fence in fences}, page.name
        assert len(fences) == 2 * len(FENCE.findall(page.read_text())), page.name


def test_every_command_of_the_docs_is_one_that_a_test_runs() -> None:
    others = {
        command.split()[0]
        for block in BLOCKS
        if not block.is_followed
        for command in block.commands
        if not command.startswith(SERVERS)
    }
    assert others <= {"export", "pip", "make", "curl", "airflow"}
    assert any(block.is_followed for block in BLOCKS)


@pytest.fixture
def programs(tmp_path: Path) -> Path:
    """The folder of the stand-ins, which write each call as a line of JSON to the file ``calls``."""
    folder = tmp_path / "bin"
    folder.mkdir()
    make = shutil.which("make")
    texts = {
        "moengage-sandbox": f'exec {sys.executable} -m airflow_provider_moengage.sandbox "$@"',
        "python": f'exec {sys.executable} "$@"',
        # Each takes minutes, and most are what runs this test.
        "make": f'exec {make} --dry-run --directory {shlex.quote(str(ROOT))} "$@"',
    }
    note = "import json, sys; print(json.dumps(sys.argv[1:]), file=open(sys.argv.pop(1), 'a'))"
    for name in ("pip", "airflow"):
        texts[name] = f'exec {sys.executable} -c "{note}" {tmp_path / "calls"} {name} "$@"'
    for name, text in texts.items():
        (folder / name).write_text(f"#!/bin/sh\n{text}\n")
        (folder / name).chmod(0o755)
    return folder


@pytest.fixture
def both(programs: Path, tmp_path: Path) -> Iterator[tuple[Terminal, Terminal]]:
    """Two terminals in an empty folder."""
    folder = tmp_path / "folder"
    folder.mkdir()
    environment = airflow_environment(tmp_path / "elsewhere", NO_PROXY="localhost,127.0.0.1")
    environment["PYTHONPATH"] = os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])
    environment["PATH"] = os.pathsep.join([str(programs), os.environ["PATH"]])
    with terminals(folder, environment) as opened:
        yield opened


@pytest.mark.shows(KEY, OUTPUT, reason="the sandbox prints the connection with the key of the page")
@pytest.mark.parametrize(
    "block",
    [pytest.param(one, id=f"{one.page}-{one.number}") for one in BLOCKS if not one.is_followed],
)
def test_the_commands_of_a_block_do_what_the_page_says(
    block: Block, both: tuple[Terminal, Terminal], tmp_path: Path
) -> None:
    port = free_port()
    commands = [
        command.replace(CHECKOUT, str(ROOT)).replace(SANDBOX_PORT, port) for command in block.commands
    ]
    if any(command.startswith("curl ") for command in commands) and not commands[0].startswith(SERVERS):
        with running_sandbox(port=int(port)):
            run(commands, both, tmp_path)
    else:
        run(commands, both, tmp_path)
    calls = tmp_path / "calls"
    for line in calls.read_text().splitlines() if calls.exists() else ():
        _, program, *arguments = json.loads(line)
        {"pip": check_installation, "airflow": check_airflow}[program](arguments)


def run(commands: list[str], both: tuple[Terminal, Terminal], folder: Path) -> None:
    first, second = both
    for command in commands:
        if command.startswith(SERVERS):
            first.begin(command)
            first.wait_for(lambda: "\nexport AIRFLOW_CONN_" in first.printed(), 30, command)
            continue
        printed = second.run(command, 60)
        if command.startswith("export "):
            second.run(f"env -0 > {shlex.quote(str(folder / 'variables'))}", 10)
            variables = dict(
                one.split("=", 1) for one in (folder / "variables").read_text().split("\0") if one
            )
            name = command.removeprefix("export ").partition("=")[0]
            check_variable(name, variables[name])
        elif command.startswith("curl "):
            (answer,) = [line for line in printed.splitlines() if line.startswith(("{", "["))]
            assert '"error"' not in answer


def check_variable(name: str, value: str) -> None:
    """Check that Airflow and the package can use what a page exports."""
    if name.startswith("AIRFLOW_CONN_"):
        form = "json" if value.startswith("{") else "uri"
        connection = Connection.from_json(value) if form == "json" else Connection(uri=value)
        assert connection.conn_type in ("moengage", "redis")
        if connection.conn_type == "moengage":
            with pytest.MonkeyPatch.context() as patch:
                patch.setenv("AIRFLOW_CONN_OF_THE_PAGE", value)
                hook = MoEngageHook("of_the_page")
                assert hook.workspace.base_url.startswith(("https://api-03.", "http://127.0.0.1"))
        else:
            assert connection.host
        return
    _, section, option = name.split("__")
    if section == "MOENGAGE":
        assert option.lower() in get_provider_info()["config"]["moengage"]["options"]
    else:
        assert section == "OPENLINEAGE"
        assert option in OPENLINEAGE


def check_installation(arguments: list[str]) -> None:
    """Check that pip would find what it is asked for; the wheel itself is installed by test_wheel.py."""
    command, *wanted = arguments
    assert command == "install"
    for one in wanted:
        # A checkout is named by its path.
        requirement = Requirement(one.replace(str(ROOT), DISTRIBUTION))
        distribution(requirement.name)
        assert requirement.extras <= set(metadata(requirement.name).get_all("Provides-Extra") or ())


def check_airflow(arguments: list[str]) -> None:
    """Check that this Airflow knows the command and its options; a scheduler would have to run what it asks for."""
    from airflow.cli.cli_parser import get_parser

    (major,) = [
        major for begin, major in ONLY_IN.items() if " ".join(["airflow", *arguments]).startswith(begin)
    ]
    if major == AIRFLOW_MAJOR:
        assert get_parser().parse_args(arguments).func is not None


def test_every_target_of_make_that_the_docs_name_exists() -> None:
    pages = [*PAGES, ROOT / "CONTRIBUTING.md"]
    named = {name for page in pages for name in re.findall(r"`make ([a-z][a-z0-9.-]*)", page.read_text())}
    assert {"demo", "test", "standalone", "docs"} <= named
    done = subprocess.run(
        ["make", "--dry-run", *sorted(named - {"clean"})],
        cwd=ROOT,
        env={name: value for name, value in os.environ.items() if not name.startswith("MAKE")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
