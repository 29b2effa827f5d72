"""
The quick start and the tutorial are followed as they stand in the docs.

Only ``make standalone`` installs the package for them and starts a whole Airflow; here each run of a DAG is a ``dag.test()``.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from airflow_provider_moengage.operators.users import MoEngageTrackUsersOperator
from airflow_provider_moengage.sandbox import warehouse
from airflow_provider_moengage.sandbox.client import Sandbox
from faults.quick_start import DAG_ID, OUTPUT, Replacements, check_outcome, free_port, terminals
from faults.quick_start_page import (
    FOLDER,
    IN_TERMINAL,
    PAGE,
    STANDALONE,
    TUTORIAL,
    Block,
    Reader,
    Run,
    blocks_of,
)
from faults.terminal import CommandFailed, Terminal
from tests.support.dag_runs import ROOT, RUN_DAG, airflow_environment
from tests.support.leaks import watch
from tests.test_docs import on_this_airflow

README = ROOT / "README.md"


class Expected:
    """Fails the test where something is not as the page says."""

    def __init__(self) -> None:
        self.seen: list[str] = []

    def expect(self, what: str, holds: bool) -> None:
        self.seen.append(what)
        assert holds, what


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """An empty folder; apostrophes in its name would be quoted, as the page has no need to."""
    folder = tmp_path / "my quick start"
    folder.mkdir()
    return folder


@pytest.fixture
def both(folder: Path, tmp_path: Path):
    """Two terminals in which the programs of this environment are found, and nothing of the caller's Airflow."""
    programs = tmp_path / "bin"
    programs.mkdir()
    # As the installed program, but of this checkout.
    program = programs / "moengage-sandbox"
    program.write_text(
        f'#!/bin/sh\nexec {shlex.quote(sys.executable)} -m airflow_provider_moengage.sandbox "$@"\n'
    )
    program.chmod(0o755)
    environment = airflow_environment(tmp_path / "elsewhere", NO_PROXY="localhost,127.0.0.1")
    paths = [str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]
    environment["PYTHONPATH"] = os.pathsep.join(paths)
    environment["PATH"] = os.pathsep.join([str(programs), os.environ["PATH"]])
    with terminals(folder, environment) as opened:
        yield opened
        for terminal in opened:
            lines = terminal.printed().splitlines()
            # The sandbox's own key is in what is to be pasted.
            watch.output("\n".join(line for line in lines if not line.startswith("export ")), "a terminal")


class DagTests:
    """Runs each DAG with ``dag.test()``, where the pages start Airflow and use its commands."""

    def __init__(self, folder: Path, database: Path, run_airflow: Callable[..., str]) -> None:
        self._folder = folder
        self._database = database
        self._run_airflow = run_airflow

    def start(self, terminal: Terminal, commands: str) -> Run:
        without_airflow = commands.replace(STANDALONE, "")
        assert without_airflow != commands
        terminal.run(without_airflow, 10)
        shutil.copy(self._database, self._folder / "airflow" / "airflow.db")
        return self._test(terminal, DAG_ID)

    def run(self, terminal: Terminal, commands: str, dag_id: str) -> Run:
        *others, _ = commands.splitlines()
        if others:
            terminal.run("\n".join(others), 10)
        return self._test(terminal, dag_id)

    def _test(self, terminal: Terminal, dag_id: str) -> Run:
        variables, result = (self._folder.parent / name for name in ("variables", "result.json"))
        terminal.run(f"env -0 > {shlex.quote(str(variables))}", 10)
        environment = dict(one.split("=", 1) for one in variables.read_text().split("\0") if one)
        dag_file = self._folder / "airflow" / "dags" / f"{dag_id}.py"
        log = self._run_airflow(RUN_DAG, dag_file, result, env=environment)
        watch.database(self._folder / "airflow" / "airflow.db")
        outcome = json.loads(result.read_text())
        assert outcome["state"] == "success"
        (task,) = outcome["tasks"].values()
        assert task["returned"] == task["report"]
        return Run(dict(task["report"]), log)


def test_every_block_of_the_pages_is_known() -> None:
    shapes = [(block.language, block.installs, block.title) for block in blocks_of()]
    assert shapes == [
        ("bash", True, None),
        ("bash", False, None),
        ("text", False, None),
        ("bash", False, None),
        ("python", False, "airflow/dags/quick_start.py"),
        ("bash", False, None),
        *[("json", False, None), ("bash", False, None)] * 2,
        ("json", False, None),
    ]
    for page in (PAGE, TUTORIAL):
        assert len(re.findall("^```", page.read_text(), re.MULTILINE)) == 2 * len(blocks_of(page))
        assert {block.language for block in blocks_of(page)} == {"bash", "text", "python", "json"}
    assert [STANDALONE in block.text for block in blocks_of()].count(True) == 1
    assert [IN_TERMINAL in block.text for block in blocks_of(TUTORIAL)].count(True) == 3


def test_the_pages_are_as_they_say(folder, both, migrated_database, run_airflow, tmp_path) -> None:
    replacements = Replacements({FOLDER: str(folder), OUTPUT: str(tmp_path / "moengage")})
    replacements.use_sandbox_port(free_port())
    # There is no environment to activate here, and nobody watches the windows.
    replacements.texts["source .venv/bin/activate"] = "source /dev/null"
    replacements.texts['"window_seconds": 15'] = '"window_seconds": 1'
    expected = Expected()
    airflow = DagTests(folder, migrated_database, run_airflow)
    reader = Reader(folder, replacements.texts, both, airflow, expected.expect)

    def follow(page: Path) -> None:
        for block in blocks_of(page):
            if not block.installs:
                reader.follow(Block(block.language, on_this_airflow(block.text), block.title))

    follow(PAGE)
    check_outcome(reader.report, replacements.sandbox_port, expected)
    assert len(expected.seen) == 6
    follow(TUTORIAL)
    assert len(expected.seen) == 6 + 7
    assert Sandbox(f"http://127.0.0.1:{replacements.sandbox_port}").bent() == []
    assert sorted(path.name for path in folder.iterdir()) == ["airflow", "shop.db"]
    folders = ["rejected", "repaired", "snapshots"]
    assert sorted(path.name for path in (tmp_path / "moengage").iterdir()) == folders


def test_the_readme_has_the_same_commands_and_the_same_dag() -> None:
    (section,) = re.findall(r"^## Quick start\n.*?(?=^## )", README.read_text(), re.MULTILINE | re.DOTALL)
    short = [Block(language, text) for language, text in re.findall(r"(?s)```(\w+)\n(.*?)```", section)]
    whole = blocks_of()
    whole = whole[: 1 + [STANDALONE in block.text for block in whole].index(True)]
    for language in ("bash", "python"):
        lines = ["".join(block.text for block in of if block.language == language) for of in (short, whole)]
        assert lines[0] == lines[1] != ""


def test_the_page_says_where_airflow_2_differs() -> None:
    (line,) = re.findall(r"On Airflow 2\.11 the first line is `(.*)`", PAGE.read_text())
    assert on_this_airflow("from airflow.sdk import DAG\n", major=2) == f"{line}\n"


class ThreeRows:
    """An Airflow whose runs have three rows."""

    def start(self, terminal: Terminal, commands: str) -> Run:
        return Run({"read": 3}, "one row\nanother row\n3 rows in 0.4 s\n")

    def run(self, terminal: Terminal, commands: str, dag_id: str) -> Run:
        return self.start(terminal, commands)


def test_a_claim_that_does_not_hold_is_found(folder, both) -> None:
    seen: list[tuple[str, bool]] = []
    reader = Reader(folder, {}, both, ThreeRows(), lambda what, holds: seen.append((what, holds)))
    reader.follow(Block("bash", f"{STANDALONE}\n"))
    reader.follow(Block("text", "one row\n3 rows in …\n"))
    reader.follow(Block("text", "3 rows in …\none row\n"))
    reader.follow(Block("text", "3 rows in … min\n"))
    reader.follow(Block("json", '{"read": 3}'))
    reader.follow(Block("json", '{"read": 4}\n{"read": 3}'))
    reader.follow(Block("bash", 'echo \'{"users": [{"id": 1, "plan": null}]}\'\n'))
    reader.follow(Block("json", '{"id": 1, "plan": null}'))
    reader.follow(Block("json", '{"id": 1, "name": null}'))
    reader.follow(Block("text", "another text"))
    texts, reports, users = [True, False, False], [True, False, True], [True, False]
    assert [holds for _, holds in seen] == [*texts, *reports, *users, False]


def test_a_command_that_fails_ends_the_terminal_and_is_named(both) -> None:
    first, _ = both
    assert first.run("echo one\necho two", 10) == "one\ntwo\n"
    with pytest.raises(CommandFailed, match=r"(?s)A command failed in:\nls /nowhere.*No such file"):
        first.run("ls /nowhere\necho three", 10)
    assert "three" not in first.printed()
    with pytest.raises(CommandFailed, match="has ended"):
        first.run("echo four", 10)


ODD_NAMES = (
    "a b",
    "it's",
    'say "so"',
    "per%41cent",
    "50% off",
    "ques?tion",
    "ha#sh",
    "trail/?mode=ro",
    "a@b:c",
    "ünï→",
    "sqlite:///x",
)


@pytest.mark.parametrize("name", ODD_NAMES)
def test_airflow_reads_the_warehouse_whatever_its_path(
    name, tmp_path, monkeypatch, moengage_sandbox_connection
) -> None:
    path = tmp_path / name / "shop.db"
    path.parent.mkdir(parents=True)
    warehouse.provide(path)
    monkeypatch.setenv("AIRFLOW_CONN_WAREHOUSE", json.dumps(warehouse.connection(path)))
    push = MoEngageTrackUsersOperator(
        task_id="push",
        sql="select customer_id, plan_name from customers where customer_id = 'c-0009'",
        sql_conn_id="warehouse",
    )
    assert push.execute({})["accepted"] == 1
