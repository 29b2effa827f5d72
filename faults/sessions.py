"""The processes of a session: what a program has started, orphans included."""

from __future__ import annotations

import os
import subprocess
import time

import psutil

#: Seconds within which killed processes have to end.
END = 20.0


class ProcessesLeft(RuntimeError):
    """Killed processes did not end; the message has their ids."""


def processes_of(session: int) -> dict[int, psutil.Process]:
    """Return the running processes of a session by their ids."""
    found = {}
    for process in psutil.process_iter():
        try:
            if os.getsid(process.pid) == session and process.status() != psutil.STATUS_ZOMBIE:
                found[process.pid] = process
        except (OSError, psutil.Error):
            continue
    return found


def end_session(process: subprocess.Popen[bytes]) -> None:
    """
    Kill all processes of a session; their files are discarded, so nothing needs a clean shutdown.

    :param process: the process that started the session.
    :raises ProcessesLeft: some of them do not end.
    """
    deadline = time.monotonic() + END
    process.kill()
    while True:
        left = processes_of(process.pid)
        if not left:
            break
        if time.monotonic() > deadline:
            raise ProcessesLeft(f"these processes do not end: {sorted(left)}")
        for one in left.values():
            try:
                one.kill()
            except psutil.NoSuchProcess:
                continue
        time.sleep(0.1)
    # Only now: until it is waited for, its id cannot be reused.
    process.wait()
