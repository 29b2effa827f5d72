"""A terminal: a bash in which commands are typed one after another, as a person would who follows a page."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable, Mapping
from pathlib import Path

BETWEEN_LOOKS = 0.1
#: Of what was printed, shown where something failed.
LAST_CHARACTERS = 4_000


class CommandFailed(RuntimeError):
    """A command failed or took too long; the message has the end of what it printed."""


class Terminal:
    """
    A bash of its own session, so that whatever is begun in it can be found; the first command that fails ends it.

    :param folder: in which it begins.
    :param environment: all that it finds in its environment.
    :param output: the file that keeps what is printed.
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
        """Return all that was printed until now."""
        return self._output.read_text(errors="replace")

    def run(self, commands: str, seconds: float) -> str:
        """
        Type commands and wait until they have ended.

        :return: what was printed meanwhile.
        :raises CommandFailed: one of them failed, or they have not ended in so many seconds.
        """
        self._commands += 1
        mark = f"--- end of command {self._commands} ---"
        before = len(self.printed())
        self.begin(f"{commands}\necho '{mark}'")
        self.wait_for(lambda: f"{mark}\n" in self.printed()[before:], seconds, commands)
        return self.printed()[before:].partition(mark)[0]

    def begin(self, commands: str) -> None:
        """Type commands, and do not wait for them."""
        if self.process.stdin is None or self.process.poll() is not None:
            raise CommandFailed(f"The terminal has ended; it printed:\n{self._last()}")
        self.process.stdin.write(f"{commands}\n".encode())
        self.process.stdin.flush()

    def wait_for(self, condition: Callable[[], bool], seconds: float, what: str) -> None:
        """
        Wait until something holds.

        :param what: what is waited for, for the error's message.
        :raises CommandFailed: it does not in so many seconds, or the terminal ended.
        """
        deadline = time.monotonic() + seconds
        while not condition():
            ended = self.process.poll() is not None
            # What was printed last may have come between the two looks.
            if ended and not condition():
                raise CommandFailed(f"A command failed in:\n{what}\nIt printed:\n{self._last()}")
            if time.monotonic() > deadline:
                raise CommandFailed(f"Not within {seconds:.0f} s:\n{what}\nIt printed:\n{self._last()}")
            time.sleep(BETWEEN_LOOKS)

    def _last(self) -> str:
        return self.printed()[-LAST_CHARACTERS:]
