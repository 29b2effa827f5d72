"""Reads the documentation's quick start and executes its blocks: commands, files and expected output, in order."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from faults.terminal import Terminal

PAGE = Path(__file__).resolve().parent.parent / "docs" / "quick-start.md"
#: The command that occupies a terminal.
STANDALONE = "airflow standalone"
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


class Reader:
    """
    Follows the page.

    :param folder: an empty folder.
    :param replaced: by text of the page, its replacement.
    :param terminals: the two that the page needs; the second is used once Airflow occupies the first.
    :param run_the_dag: starts Airflow in the terminal with the page's commands, runs the DAG, and returns the report.
    :param expect: called with the description of a check and whether it holds.
    """

    def __init__(
        self,
        folder: Path,
        replaced: Mapping[str, str],
        terminals: tuple[Terminal, Terminal],
        run_the_dag: Callable[[Terminal, str], dict[str, Any]],
        expect: Callable[[str, bool], None],
    ) -> None:
        self._folder = folder
        self._replaced = replaced
        self._first, self._second = terminals
        self._run_the_dag = run_the_dag
        self._expect = expect
        self._shown: list[Any] = []
        self._printed = ""
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
            self._expect("the terminal shows what the page does", text in self._printed)
        elif block.language == "json":
            claim = json.loads(text)
            self._expect(f"it has what the page says: {', '.join(claim)}", _has(self._shown, claim))
        elif block.language == "bash":
            self._type(text, INSTALLATION if block.installs else COMMAND)

    def _type(self, commands: str, seconds: float) -> None:
        if self.report is not None:
            self._printed = self._second.run(commands, seconds)
            self._shown = [json.loads(line) for line in self._printed.splitlines() if line.startswith("{")]
        elif commands.rstrip().endswith(STANDALONE):
            self.report = self._run_the_dag(self._first, commands)
            self._shown = [self.report]
        else:
            before = len(self._first.printed())
            self._first.run(commands, seconds)
            if commands.rstrip().endswith("&"):
                self._first.wait_for(lambda: len(self._exports(before)) == 2, seconds, commands)
                self._printed = self._first.printed()[before:]
                self._first.run("\n".join(self._exports(before)), seconds)

    def _exports(self, since: int) -> list[str]:
        """Return the complete lines that the page asks to copy."""
        lines = self._first.printed()[since:].splitlines(keepends=True)
        return [line.rstrip("\n") for line in lines if line.startswith("export ") and line.endswith("\n")]


def _has(shown: Any, claim: Mapping[str, Any]) -> bool:
    """Whether an object in the output, at any depth, has all the claimed values."""
    if isinstance(shown, list):
        return any(_has(one, claim) for one in shown)
    if not isinstance(shown, dict):
        return False
    return all(name in shown and shown[name] == value for name, value in claim.items()) or any(
        _has(one, claim) for one in shown.values()
    )
