"""A terminal: a bash that executes one command after another, as for a person who follows a page."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable, Mapping
from pathlib import Path

BETWEEN_LOOKS = 0.1
#: Number of output characters to show after a failure.
LAST_CHARACTERS = 4_000


class CommandFailed(RuntimeError):
    """A command failed or took too long; the message has the end of its output."""


class Terminal:
    """
    A bash in its own session, so that its child processes can be found; the first command that fails ends it.

    :param folder: its working directory.
    :param environment: its whole environment.
    :param output: the file for its output.
    """

    def __init__(self, folder: Path, environment: Mapping[str, str], output: Path) -> None:
        self._output = output
        self._commands = 0
        with output.open("wb") as stream:
            self.process = subprocess.Popen(
                ["bash", "--noprofile", "--norc", "-e", "-s"],
                cwd=folder,
                env=dict(environment),
                stdin=subprocess.PIPE,
                stdout=stream,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def printed(self) -> str:
        """Return the output so far."""
        return self._output.read_text(errors="replace")

    def run(self, commands: str, seconds: float) -> str:
        """
        Execute commands and wait for them.

        :return: their output.
        :raises CommandFailed: one of them failed, or they have not ended within this time.
        """
        self._commands += 1
        mark = f"--- end of command {self._commands} ---"
        before = len(self.printed())
        self.begin(f"{commands}\necho '{mark}'")
        self.wait_for(lambda: f"{mark}\n" in self.printed()[before:], seconds, commands)
        return self.printed()[before:].partition(mark)[0]

    def begin(self, commands: str) -> None:
        """Execute commands without waiting for them."""
        if self.process.stdin is None or self.process.poll() is not None:
            raise CommandFailed(f"The terminal has ended; it printed:\n{self._last()}")
        self.process.stdin.write(f"{commands}\n".encode())
        self.process.stdin.flush()

    def wait_for(self, condition: Callable[[], bool], seconds: float, what: str) -> None:
        """
        Wait until a condition holds.

        :param what: a description for the error message.
        :raises CommandFailed: it does not hold within this time, or the terminal ended.
        """
        deadline = time.monotonic() + seconds
        while not condition():
            ended = self.process.poll() is not None
            # The last output may have arrived between the two checks.
            if ended and not condition():
                raise CommandFailed(f"A command failed in:\n{what}\nIt printed:\n{self._last()}")
            if time.monotonic() > deadline:
                raise CommandFailed(f"Not within {seconds:.0f} s:\n{what}\nIt printed:\n{self._last()}")
            time.sleep(BETWEEN_LOOKS)

    def _last(self) -> str:
        return self.printed()[-LAST_CHARACTERS:]
