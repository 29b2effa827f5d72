"""Formats the results of a campaign as a table and as text, and writes them into the documentation."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product
from pathlib import Path

from faults.run import Result
from faults.scenarios import CHANGED, KINDS, PLACES, SOURCES
from faults.verify import Found

PATH = Path(__file__).resolve().parent.parent / "docs" / "reliability.md"
BEGIN, END = "<!-- campaign -->", "<!-- end of campaign -->"
NAMES = {"list": "a list", "sql": "staged SQL", "file": "files", "local": "local disk", "s3": "S3"}
MOMENTS = ("rows", "seconds", "file operation", "last operation")
HEADINGS = (
    "folder", "source", "of", "runs", "kills", "rows", "lost", "applied again", "`unknown`", "twice", "touched",
)  # fmt: skip


def rows(done: Sequence[Result]) -> list[tuple[str, ...]]:
    """Return the rows of the table, headings first."""
    found: list[tuple[str, ...]] = [HEADINGS]
    for place, kind, source in product(PLACES, (*KINDS, CHANGED), SOURCES):
        runs = [
            one
            for one in done
            if (one.scenario.place, one.scenario.of, one.scenario.source) == (place, kind, source)
        ]
        if runs:
            sum_ = total(runs)
            twice = f"{sum_.twice:,}" if kind == "events" else ""
            counted = [len(runs), kills(runs), sum_.rows, sum_.lost, sum_.repeated, sum_.unknown]
            numbers = (f"{number:,}" for number in counted)
            found.append((NAMES[place], NAMES[source], kind, *numbers, twice, str(touched(runs))))
    return found


def total(done: Sequence[Result]) -> Found:
    """Return the sum of the counts."""
    found = Found()
    for result in done:
        found.add(result.found)
    return found


def kills(done: Sequence[Result]) -> int:
    """Return the number of kills in all runs."""
    return sum(result.kills.total() for result in done)


def touched(done: Sequence[Result]) -> int:
    """Return the number of foreign files, and files of other runs, that were changed or deleted."""
    return sum(result.touched for result in done)


def table(done: Sequence[Result]) -> str:
    """Return the table for the terminal."""
    cells = rows(done)
    widths = [max(len(row[place]) for row in cells) for place in range(len(HEADINGS))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in cells
    )


def sentence(done: Sequence[Result], others: int, seconds: float) -> str:
    """
    Return the figures that are not in the table, as text.

    :param others: the number of foreign files in the shared folders.
    """
    found = total(done)
    changed = [result for result in done if result.scenario.of == CHANGED]
    moments = [sum(result.kills[what] for result in done) for what in MOMENTS]
    share = found.users_repeated / found.users if found.users else 0.0
    return (
        f"{len({result.scenario.number for result in done})} DAGs, {len(done)} runs, {sum(result.tries for result in done)} tries, {kills(done)} kills ({moments[0]} after a "
        f"random number of rows, {moments[1]} in the first second, {moments[2]} between two file operations, {moments[3]} "
        f"between the report and the end), "
        f"{sum(result.outages for result in done)} outages of MoEngage, "
        f"{sum(result.deferrals for result in done)} deferrals, in {seconds / 60:.0f} minutes. "
        f"{sum(result.cleared for result in done)} times a task had to be cleared that was killed before its first "
        f"checkpoint. {found.lost} rows lost. "
        f"{found.rejected:,} rejected rows, each in the parts once. {touched(done)} of the {others} files that strangers "
        f"had put into the shared folders, and of the files of other runs, were changed or deleted. Of {found.users:,} users, {share:.1%} had a row "
        f"applied more than once. Of the events, {found.twice:,} are there more than once, with {found.copies:,} copies "
        f"too many, at most {max(0, found.most_copies - 1)} of one event; {found.unknown:,} rows count as `unknown`."
        f"{_of_changed(changed) if changed else ''}"
    )


def _of_changed(done: Sequence[Result]) -> str:
    found = total(done)
    return (
        f" Of the {len(done)} runs that sent only changed users, with {kills(done)} kills, "
        f"{sum(result.gave_up for result in done)} were given up, "
        f"{sum(result.damaged.total() for result in done)} files of their snapshots were damaged and "
        f"{sum(result.errors for result in done)} attempts ended with an error because a snapshot could not be written. "
        f"{found.lost} of {found.rows:,} rows were left out wrongly, and {found.repeated:,} sent again although MoEngage "
        f"had them."
    )


def write(done: Sequence[Result], others: int, seconds: float) -> None:
    """Write the figures into the documentation, between its two markers."""
    cells = rows(done)
    lines = ["| " + " | ".join(row) + " |" for row in (cells[0], ("---",) * len(HEADINGS), *cells[1:])]
    page = PATH.read_text(encoding="utf-8")
    head, _, rest = page.partition(BEGIN)
    _, _, foot = rest.partition(END)
    text = "\n".join([BEGIN, "", *lines, "", sentence(done, others, seconds), "", END])
    PATH.write_text(head + text + foot, encoding="utf-8")
