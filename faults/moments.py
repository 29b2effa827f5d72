"""When a process is killed: at any row, at any time from its start, or between two things it does to its files."""

from __future__ import annotations

from dataclasses import dataclass
from random import Random

from faults.scenarios import Scenario

#: Seconds from the start within which a process is killed that is killed by the clock: starting, reading, staging.
FIRST_SECONDS = 1.0
#: How many file operations a process may still do, at most; small numbers are as likely as large ones.
MOST_FILE_OPERATIONS = 150


@dataclass(frozen=True)
class Moment:
    """
    What ends a process before it ends by itself; nothing at all where everything is None.

    :param rows: as many rows that the sandbox applied since its start.
    :param seconds: so long after its start.
    :param file_operation: before this operation on a file of its run, from 1.
    :param is_outage: MoEngage is out of order from then on, and nothing is killed.
    """

    rows: int | None = None
    seconds: float | None = None
    file_operation: int | None = None
    is_outage: bool = False

    @property
    def what(self) -> str:
        """What decides it, in a word or two."""
        if self.seconds is not None:
            return "seconds"
        return "file operation" if self.file_operation is not None else "rows"


def moment(scenario: Scenario, chance: Random) -> Moment:
    """Draw the moment of the next kill of a run, spread over the whole of it."""
    drawn = chance.random()
    if drawn < 0.2:
        return Moment(seconds=chance.uniform(0, FIRST_SECONDS))
    if drawn < 0.5:
        return Moment(file_operation=round(MOST_FILE_OPERATIONS ** chance.random()))
    # On average as many as bring the last kill to the end of the run.
    rows = round(chance.uniform(0, 2 * scenario.rows / (scenario.kills + 1)))
    return Moment(rows=rows, is_outage=drawn > 0.9)
