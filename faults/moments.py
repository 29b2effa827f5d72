"""When a process is killed: after a number of rows, after a time, or between two file operations."""

from __future__ import annotations

from dataclasses import dataclass
from random import Random

from faults.scenarios import Scenario

#: A kill by time comes within this many seconds of the start: while starting, reading or staging.
FIRST_SECONDS = 1.0
#: Maximum file operations before a kill; drawn so that small numbers are as likely as large ones.
MAX_FILE_OPERATIONS = 150
#: The same after the report, when only cleanup is left.
MAX_LAST_OPERATIONS = 10


@dataclass(frozen=True)
class Moment:
    """
    The moment at which a process is interrupted; all None: it is not.

    :param rows: after the sandbox has applied this many rows of the process.
    :param seconds: this long after the start.
    :param file_operation: before this operation on a file of its run, from 1.
    :param after_report: whether file operations count only from the report on.
    :param is_outage: MoEngage becomes unavailable instead, and nothing is killed.
    """

    rows: int | None = None
    seconds: float | None = None
    file_operation: int | None = None
    after_report: bool = False
    is_outage: bool = False

    @property
    def what(self) -> str:
        """The kind of the moment."""
        if self.seconds is not None:
            return "seconds"
        if self.file_operation is not None:
            return "last operation" if self.after_report else "file operation"
        return "rows"


def moment(scenario: Scenario, chance: Random) -> Moment:
    """Draw the moment of the next kill of a run; the moments spread over the whole run."""
    drawn = chance.random()
    if drawn < 0.2:
        return Moment(seconds=chance.uniform(0, FIRST_SECONDS))
    if drawn < 0.25:
        return Moment(file_operation=round(MAX_LAST_OPERATIONS ** chance.random()), after_report=True)
    if drawn < 0.5:
        return Moment(file_operation=round(MAX_FILE_OPERATIONS ** chance.random()))
    # On average, the last kill falls at the end of the run.
    rows = round(chance.uniform(0, 2 * scenario.rows / (scenario.kills + 1)))
    return Moment(rows=rows, is_outage=drawn > 0.9)
