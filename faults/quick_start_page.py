"""
Reads the documentation's quick start and tutorial, and executes their blocks: commands, files and expected output, in order.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from faults.terminal import Terminal

DOCS = Path(__file__).resolve().parent.parent / "docs"
#: The second goes on where the first ends.
PAGE, TUTORIAL = DOCS / "quick-start.md", DOCS / "tutorial.md"
#: The command that occupies a terminal.
STANDALONE = "airflow standalone"
#: The command that runs a DAG in the terminal.
IN_TERMINAL = "airflow dags test"
_RUN = re.compile(rf"^(?:{IN_TERMINAL}|airflow dags trigger) (\w+)\n\Z", re.M)
#: What a page leaves out of an expected line.
ELLIPSIS = "…"
#: Placeholders of the page.
CHECKOUT, FOLDER = "/path/to/airflow-provider-moengage", "/home/you/quick-start"
SANDBOX_PORT = "8095"
_BLOCK = re.compile(r'^```(?P<language>\w+)(?: title="(?P<title>[^"]+)")?\n(?P<text>.*?)^```$', re.M | re.S)
#: Time-outs in seconds: of a command that installs, and of any other.
INSTALLATION, COMMAND = 600.0, 60.0


@dataclass(frozen=True)
class Block:
    """
    A block of code.

    :param language: ``bash`` is executed, ``python`` is saved, ``text`` and ``json`` are expected output.
    :param title: the path to save the block under.
    """

    language: str
    text: str
    title: str | None = None

    @property
    def installs(self) -> bool:
        """Whether it installs the package."""
        return self.language == "bash" and "pip install" in self.text


def blocks_of(page: Path = PAGE) -> list[Block]:
    """Return the code blocks of a page in order."""
    return [
        Block(found["language"], found["text"], found["title"]) for found in _BLOCK.finditer(page.read_text())
    ]


@dataclass(frozen=True)
class Run:
    """
    A run of a DAG with one task, which succeeded.

    :param report: as the task returned it.
    :param log: the task's log, perhaps among other output.
    """

    report: dict[str, Any]
    log: str


class Airflow(Protocol):
    """Does with Airflow what the pages say; either method raises :class:`CommandFailed` if the run fails."""

    def start(self, terminal: Terminal, commands: str) -> Run:
        """Execute commands that start Airflow, and run the DAG of the quick start."""

    def run(self, terminal: Terminal, commands: str, dag_id: str) -> Run:
        """Execute commands, the last of which runs a DAG, and wait until it has ended."""


class Reader:
    """
    Follows the pages.

    :param folder: an empty folder.
    :param replaced: by text of the pages, its replacement.
    :param terminals: the two that they need; the second is used once Airflow occupies the first.
    :param airflow: starts Airflow and runs DAGs.
    :param expect: called with the description of a check and whether it holds.
    """

    def __init__(
        self,
        folder: Path,
        replaced: Mapping[str, str],
        terminals: tuple[Terminal, Terminal],
        airflow: Airflow,
        expect: Callable[[str, bool], None],
    ) -> None:
        self._folder = folder
        self._replaced = replaced
        self._first, self._second = terminals
        self._airflow = airflow
        self._expect = expect
        self._connections: list[str] = []
        self._shown: list[Any] = []
        self._printed = ""
        self._is_running = False
        #: The report of the last run.
        self.report: dict[str, Any] | None = None

    def follow(self, block: Block) -> None:
        """
        Execute a block.

        :raises CommandFailed: one of its commands failed.
        """
        text = block.text
        for old, new in self._replaced.items():
            text = text.replace(old, new)
        if block.title is not None:
            (self._folder / block.title).write_text(text)
        elif block.language == "text":
            missing = _first_missing(text.splitlines(), self._printed.splitlines())
            self._expect(f"it prints what the page shows{missing and f', but not {missing}'}", not missing)
        elif block.language == "json":
            for claim in _objects(text):
                self._expect(f"it has what the page says: {', '.join(claim)}", _has(self._shown, claim))
        elif block.language == "bash":
            self._type(text, INSTALLATION if block.installs else COMMAND)

    def _type(self, commands: str, seconds: float) -> None:
        run = _RUN.search(commands)
        if run is not None:
            self._read(self._airflow.run(self._second, commands, run[1]))
        elif self._is_running:
            self._printed = self._second.run(commands, seconds)
            self._shown = [json.loads(line) for line in self._printed.splitlines() if line.startswith("{")]
            if commands.startswith("source "):
                # The tutorial asks to paste them into this terminal too.
                self._second.run("\n".join(self._connections), seconds)
        elif commands.rstrip().endswith(STANDALONE):
            self._is_running = True
            self._read(self._airflow.start(self._first, commands))
        else:
            before = len(self._first.printed())
            self._first.run(commands, seconds)
            if commands.rstrip().endswith("&"):
                self._first.wait_for(lambda: len(self._exports(before)) == 2, seconds, commands)
                self._printed = self._first.printed()[before:]
                self._connections = self._exports(before)
                self._first.run("\n".join(self._connections), seconds)

    def _read(self, run: Run) -> None:
        self.report = run.report
        self._shown, self._printed = [run.report], run.log

    def _exports(self, since: int) -> list[str]:
        """Return the complete lines that the page asks to copy."""
        lines = self._first.printed()[since:].splitlines(keepends=True)
        return [line.rstrip("\n") for line in lines if line.startswith("export ") and line.endswith("\n")]


def _objects(text: str) -> Iterator[Any]:
    """Yield the JSON objects of a text, which stand one after another."""
    decoder, position = json.JSONDecoder(), 0
    while text[position:].strip():
        position += len(text[position:]) - len(text[position:].lstrip())
        found, position = decoder.raw_decode(text, position)
        yield found


def _first_missing(expected: list[str], printed: list[str]) -> str:
    """Return the first expected line that the output lacks after those before it, or an empty text."""
    lines = iter(printed)
    for line in expected:
        pattern = re.compile(".*".join(map(re.escape, line.strip().split(ELLIPSIS))))
        if not any(pattern.search(one) for one in lines):
            return line
    return ""


def _has(shown: Any, claim: Mapping[str, Any]) -> bool:
    """Whether an object in the output, at any depth, has all the claimed values."""
    if isinstance(shown, list):
        return any(_has(one, claim) for one in shown)
    if not isinstance(shown, dict):
        return False
    return all(name in shown and shown[name] == value for name, value in claim.items()) or any(
        _has(one, claim) for one in shown.values()
    )
