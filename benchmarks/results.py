"""Formats the measurements as JSON lines, as a table, and as RESULTS.md."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Mapping
from datetime import datetime, timezone
from importlib.metadata import version
from pathlib import Path

from benchmarks.figures import HEAVY, LIGHT, PROCESSES, Figure, Outcome

PATH = Path(__file__).parent / "RESULTS.md"
PACKAGES = ("apache-airflow", "requests", "urllib3", "pydantic_core", "redis", "moengage")
HEADINGS = ("figure", "what", "must reach", "measured", "all runs", "")

HEAD = """
# Results

Written by `make bench BENCH_ARGS=--write` on {date}.

- machine: {machine}
- versions: {versions}

A figure is a ratio of what was measured of both sides in the same run, on the same rows and against the same
server: of several runs the ratio of their medians, of finish times the median of their ratios, of 429s the worst
run. Under "all runs" are the single runs; of what {processes} processes share, the single windows. "missed" is a
figure that does not reach what it must.
"""

EXPLAINED = """
## How it was measured

**Server.** `benchmarks/sink.py`: an event loop in a process of its own that answers 200, counts units, and keeps
one fixed window. Of its latency, half passes before a request is looked at and half after. What a contender says it
sent is compared with what the sink counted.

**Rows.** Flat customers with nine columns (`benchmarks/data.py`): texts, numbers, a boolean, a date and time in the
documented form. Every side gets the same list, built before the clock starts; a side that sends one call a user gets
the first few thousand of it.

**Process.** Every run has a fresh process, with everything imported, logging at WARNING, and 20 users sent before
the clock starts, so that nobody's first import or look-up counts. CPU is user and system time of that process, all
threads, over the one call. Sides take turns.

**Ours** is the operator, `MoEngageTrackUsersOperator(...).execute({{}})`, with `bulk=True` where it says so, or
`MoEngageGetUsersOperator`; making the operator is part of the call. Rows are validated and accounted for. The
connection comes from the environment; where no window is measured, its `limits` are out of reach.

**session** is one `requests.Session()` with the credentials on it, and `session.post(url, json=...)` for every row.

**loop** is `requests.post(url, json=..., auth=...)` for every row, without a session.

**pypi** is the client `moengage` 0.3.4: `Moengage(...).create_or_update_user(id, **attributes)` for every row.

**floor** brings the same rows into elements, serialises each with `pydantic_core.to_json`, packs them below 100,000
bytes and posts them with one `requests.Session()`. It checks nothing and accounts for nothing.

**One call at a time, and sixteen** (`bulk`, `threads`). The three rivals send one call after the other, and so does
`bulk`, with `concurrency=1`. `threads` is the same with the default `concurrency=16` against a server that answers at
once, where threads gain nothing: reader and senders hand Python's lock to each other some twenty times a call, and on
a machine of two cores they and the server take each other's caches. Where a `threads` figure misses, that is why.

**Finish times** (`finish`). A window has 10 seconds, and 10,000 units for `bulk=True`, 2,000 for single calls, 1,000
for Get Users; the users are 3.5 windows' worth. A run begins at a random moment of the first half of a window, so
that the first window can be filled. Its time is from the first call that the sink saw to the end of `execute`. The
optimum is what was left of the first window, two whole windows, and half a window's users as timed in the same
process just before, alone and without a limit; a client that prepares rows while it waits may be a little faster.
What a window holds is learned from the answers: the connection has no `limits`. As a run sleeps nearly all of the
time, {light} runs of bulk imports and Get Users go on at once, and then {heavy} of single calls, each with a sink
of its own. Their windows end one after the other, spread over the ten seconds, so that their bursts hardly meet. Where
they meet, the run gets longer and not its optimum.

**Shared windows** (`shared`). {processes} processes and one sink with 10,000 units in 10 seconds, single calls with
`concurrency=16`, or `bulk=True`. They start in the last part of a window, which is left out; {windows} whole windows
are counted, and then the processes are ended. `redis` has a `redis-server` of its own, to which the connection's
`rate_limit_conn_id` leads; it is asked at the end whether anybody came. {beside}

Where `shared.bulk.refused` shows a 2, the likely cause, which was not traced, is that a process which finds a window
spent tries the next reset early, so that it does not starve: both 429s then fall into one window.

**Memory** (`memory`). PostgreSQL on the same machine, a table made by `generate_series`, read through `sql=` with
`bulk=True`. The peak is `ru_maxrss` of the process, Airflow included.
"""

TOGETHER = """`shared.bulk` runs beside the finish times, for
it hardly needs the processor. `redis` and `headers` run at the same time, with nothing beside them, and the windows
of one begin in the middle of the other's: what one needs of the processor, it needs while the other sleeps."""
APART = "Nothing runs beside them."


def line(figure: Figure, outcome: Outcome) -> str:
    """Return a figure as one line of JSON."""
    fields: dict[str, object] = {"figure": figure.name, "what": figure.what, "must": figure.must}
    if isinstance(outcome, str):
        return json.dumps({**fields, "not_measured": outcome})
    fields |= {"measured": outcome.value, "reached": figure.reached(outcome.value), "runs": outcome.runs}
    return json.dumps({**fields, **outcome.detail})


def rows(outcomes: Mapping[Figure, Outcome]) -> list[tuple[str, ...]]:
    """Return the rows of the table, headings first."""
    found: list[tuple[str, ...]] = [HEADINGS]
    for figure, outcome in outcomes.items():
        if isinstance(outcome, str):
            measured, runs, word = "", "", "not measured"
        else:
            measured, runs = _short(outcome.value), ", ".join(map(_short, outcome.runs))
            word = "reached" if figure.reached(outcome.value) else "missed"
        found.append((figure.name, figure.what, figure.must, measured, runs, word))
    return found


def table(outcomes: Mapping[Figure, Outcome]) -> str:
    """Return the table for the terminal, without the longest columns."""
    picked = [(name, must, measured, word) for name, _, must, measured, _, word in rows(outcomes)]
    widths = [max(len(row[place]) for row in picked) for place in range(len(picked[0]))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in picked
    )


def markdown(outcomes: Mapping[Figure, Outcome], *, windows: int, apart: bool) -> str:
    """Return the content of RESULTS.md."""
    about = {
        "processes": PROCESSES,
        "windows": windows,
        "beside": APART if apart else TOGETHER,
        "light": LIGHT,
        "heavy": HEAVY,
        **machine(),
    }
    cells = rows(outcomes)
    lines = ["| " + " | ".join(row) + " |" for row in (cells[0], ("---",) * len(HEADINGS), *cells[1:])]
    why = [f"- {figure.name}: {outcome}" for figure, outcome in outcomes.items() if isinstance(outcome, str)]
    head, explained = HEAD.format_map(about), EXPLAINED.format_map(about)
    parts = [head, "\n".join(lines), *(["\n".join(why)] if why else []), explained]
    return "\n\n".join(part.strip("\n") for part in parts) + "\n"


def machine() -> dict[str, str]:
    """Return the date, machine and versions of the measurement."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return {
        "date": datetime.now(timezone.utc).date().isoformat(),
        "machine": f"{os.cpu_count()} cores, {_processor()}, {memory:.0f} GiB of memory, {platform.system()}",
        "versions": ", ".join(
            [f"Python {platform.python_version()}", *(f"{name} {version(name)}" for name in PACKAGES)]
        ),
    }


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    named = (text.split(":", 1)[1].strip() for text in lines if text.startswith("model name"))
    return next(named, platform.machine())


def _short(value: float) -> str:
    return f"{value:.0f}" if value == int(value) or value >= 1_000 else f"{value:.4g}"
