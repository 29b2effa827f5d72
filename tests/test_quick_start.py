"""The quick start is followed as it stands in the docs; only ``make standalone`` installs it and starts a whole Airflow."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import sys
from pathlib import Path

import pytest

from airflow_provider_moengage.operators.users import MoEngageTrackUsersOperator
from airflow_provider_moengage.sandbox import warehouse
from airflow_provider_moengage.sandbox.client import Sandbox
from faults.quick_start import DAG_ID, Replacements, check_outcome, free_port, remove_rejected, terminals
from faults.quick_start_page import FOLDER, PAGE, STANDALONE, Block, Reader, blocks_of
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


def test_every_block_of_the_page_is_known() -> None:
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
    assert len(re.findall("^```", PAGE.read_text(), re.MULTILINE)) == 2 * len(shapes)
    assert [STANDALONE in block.text for block in blocks_of()].count(True) == 1


def test_the_page_is_as_it_says(folder, both, migrated_database, tmp_path) -> None:
    replacements = Replacements({FOLDER: str(folder), "/tmp/moengage": str(tmp_path / "moengage")})
    replacements.use_sandbox_port(free_port())
    expected = Expected()

    def run_the_dag(terminal: Terminal, commands: str) -> dict[str, object]:
        without_airflow = commands.replace(STANDALONE, "")
        assert without_airflow != commands
        terminal.run(without_airflow, 10)
        shutil.copy(migrated_database, folder / "airflow" / "airflow.db")
        command = [sys.executable, str(RUN_DAG), f"airflow/dags/{DAG_ID}.py", "../result.json"]
        terminal.run(shlex.join(command), 120)
        watch.database(folder / "airflow" / "airflow.db")
        outcome = json.loads((tmp_path / "result.json").read_text())
        assert outcome["state"] == "success"
        (task,) = outcome["tasks"].values()
        assert task["returned"] == task["report"]
        return dict(task["report"])

    reader = Reader(folder, replacements.texts, both, run_the_dag, expected.expect)
    for block in blocks_of():
        if not block.installs:
            reader.follow(Block(block.language, on_this_airflow(block.text), block.title))
    check_outcome(reader.report, replacements.sandbox_port, expected)
    assert len(expected.seen) == 6
    assert Sandbox(f"http://127.0.0.1:{replacements.sandbox_port}").bent() == []
    assert sorted(path.name for path in folder.iterdir()) == ["airflow", "shop.db"]
    remove_rejected(reader.report)
    assert not (tmp_path / "moengage").exists()


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


def test_a_claim_that_does_not_hold_is_found(folder, both) -> None:
    seen: list[tuple[str, bool]] = []
    reader = Reader(folder, {}, both, lambda *_: {"read": 3}, lambda what, holds: seen.append((what, holds)))
    reader.follow(Block("bash", f"{STANDALONE}\n"))
    reader.follow(Block("json", '{"read": 3}'))
    reader.follow(Block("json", '{"read": 4}'))
    reader.follow(Block("bash", 'echo \'{"users": [{"id": 1, "plan": null}]}\'\n'))
    reader.follow(Block("json", '{"id": 1, "plan": null}'))
    reader.follow(Block("json", '{"id": 1, "name": null}'))
    reader.follow(Block("text", "another text"))
    assert [holds for _, holds in seen] == [True, False, True, False, False]


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
