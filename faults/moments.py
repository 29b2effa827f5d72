"""When a process is killed: at any row, at any time from its start, between two things it does to its files."""

from __future__ import annotations

from dataclasses import dataclass
from random import Random

from faults.scenarios import Scenario

#: Seconds from the start within which a process is killed that is killed by the clock: starting, reading, staging.
FIRST_SECONDS = 1.0
#: How many file operations a process may still do, at most; small numbers are as likely as large ones.
MOST_FILE_OPERATIONS = 150
#: The same of a process that has pushed its report: what is left is to tidy up.
MOST_LAST_OPERATIONS = 10


@dataclass(frozen=True)
class Moment:
    """
    What ends a process before it ends by itself; nothing at all where everything is None.

    :param rows: as many rows that the sandbox applied since its start.
    :param seconds: so long after its start.
    :param file_operation: before this operation on a file of its run, from 1.
    :param after_report: whether file operations count from the report on.
    :param is_outage: MoEngage is out of order from then on, and nothing is killed.
    """

    rows: int | None = None
    seconds: float | None = None
    file_operation: int | None = None
    after_report: bool = False
    is_outage: bool = False

    @property
    def what(self) -> str:
        """What decides it, in a word or two."""
        if self.seconds is not None:
            return "seconds"
        if self.file_operation is not None:
            return "last operation" if self.after_report else "file operation"
        return "rows"


def moment(scenario: Scenario, chance: Random) -> Moment:
    """Draw the moment of the next kill of a run, spread over the whole of it."""
    drawn = chance.random()
    if drawn < 0.2:
        return Moment(seconds=chance.uniform(0, FIRST_SECONDS))
    if drawn < 0.25:
        return Moment(file_operation=round(MOST_LAST_OPERATIONS ** chance.random()), after_report=True)
    if drawn < 0.5:
        return Moment(file_operation=round(MOST_FILE_OPERATIONS ** chance.random()))
    # On average as many as bring the last kill to the end of the run.
    rows = round(chance.uniform(0, 2 * scenario.rows / (scenario.kills + 1)))
    return Moment(rows=rows, is_outage=drawn > 0.9)
