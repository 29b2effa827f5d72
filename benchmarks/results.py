"""Formats the measurements as JSON lines, as a table, and as RESULTS.md."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Mapping, Sequence
from datetime import datetime, timezone
from importlib.metadata import version
from pathlib import Path

from benchmarks.figures import FAR, FEW, HEAVY, LIGHT, MANY, PROCESSES, Figure, Outcome

PATH = Path(__file__).parent / "RESULTS.md"
PACKAGES = ("apache-airflow", "requests", "urllib3", "pydantic_core", "redis", "moengage")
#: The values of more runs than that are not listed.
MOST_LISTED = 20
HEADINGS = ("figure", "what", "must reach", "measured", "all runs", "")

HEAD = """
# Results

Written by `make bench BENCH_ARGS=--write` on {date}.

- machine: {machine}
- versions: {versions}

A figure is the ratio of two contenders measured in the same run, with the same rows and the same server: the ratio of
the medians of several runs; for finish times, the median of the ratios; for 429s, the worst run. "all runs" lists the
value of each run, or the lowest and the highest of many; for windows that {processes} processes share, of each window. "missed"
means that a figure does not reach its bound.
"""

EXPLAINED = """
## How it was measured

**Server.** `benchmarks/sink.py`: an event loop in a process of its own that responds 200, counts units, and keeps
one fixed window. Half of its latency passes before a request is processed and half after. What a contender reports as
sent is compared with what the sink counted.

**Rows.** Flat customers with nine columns (`benchmarks/data.py`): texts, numbers, a boolean, a datetime in the
documented format. The rows of `warehouse` have the same columns in the types that a database driver returns (an aware
datetime with microseconds, a Decimal) and two more: a date, and one that is NULL in every row. Every contender gets the same list, built before the measurement; one that sends a request per user
gets its first few thousand rows.

**Process.** Every run has a fresh process, with everything imported, logging at WARNING, and 20 users sent before
the measurement, so that imports and look-ups do not count. CPU is user and system time of that process, all threads,
during the measured call. Contenders take turns.

**Ours** is the operator, `MoEngageTrackUsersOperator(...).execute({{}})`, with `bulk=True` where stated, or
`MoEngageGetUsersOperator`; creating the operator is part of the measurement. Rows are validated and accounted for. The
connection comes from the environment; if no window is measured, its `limits` are too high to matter.

**session** is one `requests.Session()` with the credentials, and `session.post(url, json=...)` for every row.

**loop** is `requests.post(url, json=..., auth=...)` for every row, without a session.

**pypi** is the client `moengage` 0.3.4: `Moengage(...).create_or_update_user(id, **attributes)` for every row.

**floor** converts the same rows into elements, serialises each with `pydantic_core.to_json`, packs them below 100,000
bytes and posts them with one `requests.Session()`, without checks or accounting. For `warehouse` it first converts each
row: `strftime` writes datetimes in UTC, `isoformat` dates, `float` Decimals, and NULLs are left out.

**One user** (`small`). The time from the call of the hook, or from the start of `execute`, until the server has responded,
with a new connection to it; contenders take turns, fifteen runs of tasks and sixty of the hook. *engine* is `MoEngageHook().track_users` in one process
that has everything imported, with the connection in an environment variable. *task* is the operator in a task of a DAG that
`dag.test()` runs, each time in a fresh process, with `rejected_path`, `staging_path`, the checkpoint, the progress and the
links; the connection is in Airflow's database. *post* is one `requests.post` with the fields of the connection in the code, in
an `@task` where ours is a task, and *looked-up* is the same after `BaseHook.get_connection`. `far` has a round trip of {far:.0f}
ms; all others measure a server on the same machine, without latency. A task asks Airflow's API for its checkpoint before its
first request, and with `changed_only` writes one as well: a crash must cost nothing. Each takes longer than a request to such
a server, so these figures miss.

**One request at a time, and sixteen** (`bulk`, `threads`). The three rivals send one request after another, and so does
`bulk`, with `concurrency=1`. `threads` is the same with `concurrency=16` against a server without latency,
where threads gain nothing: reader and senders pass Python's lock to each other some twenty times per request, and on a
machine with two cores they compete with the server for the caches. If a `threads` figure misses, that is why.

**As many requests as it takes** (`concurrency`). Single requests with nothing configured, and a window of 10 seconds with
1,667 units, which is 10,000 a minute. A run's first window begins with its first request, and five windows are filled; a
run's figure is its least used window. The three latencies run concurrently. `cpu` compares the CPU per user with a run with
`concurrency=16` against the same server, which sends fewer users where sixteen requests cannot use the window, and so takes
as long. The overloaded server works on eight requests at a time, for 50 ms each, and answers 503 to all others at once: it
serves 160 requests a second at most.

**Finish times** (`finish`). A window has 10 seconds, and 10,000 units for `bulk=True`, 2,000 for single requests, 1,000
for Get Users; the users are 3.5 windows' worth. A run starts at a random moment in the first half of a window, so
that the first window can be filled. Its time is from the first request at the sink to the end of `execute`. The
optimum is the rest of the first window, two whole windows, and half a window's users as timed in the same
process just before, alone and without a limit; a client that prepares rows while it waits may be slightly faster.
The limit is learned from the responses: the connection has no `limits`. As runs mostly sleep, {light} runs of bulk
imports and Get Users are concurrent, and then {heavy} of single requests, each with a sink of its own. Their windows
end one after another, spread over the ten seconds, so that their bursts rarely overlap. If they do, the run gets longer
but not its optimum. Resets are published in whole seconds and waited for until they are certain: a run may take up to a
second longer than its optimum of 25 to 30 seconds, which is 4 %, on average 1.5 %.

**Shared windows** (`shared`). {processes} processes and one sink with 10,000 units in 10 seconds, single requests with
`concurrency=16`, or `bulk=True`. They start in the last part of a window, which is not counted; {windows} whole windows
are counted, and then the processes are ended. `redis` has a `redis-server` of its own, to which the connection's
`rate_limit_conn_id` points; its command count is checked at the end. {beside}

**Hundreds of clients** (`scale`). A client is the package's `RateLimiter` with a connection of its own to one
`redis-server`, in a thread that always wants one more unit; fifty threads are a process. There is no HTTP: the processes
count units in shared memory, in windows of 10 seconds, and answer at once (`eight`: after 2 ms) with the headers that
MoEngage would send. The clients start within two seconds, early in a window that does not count; {windows} windows are
counted. `changing` has 50 clients that join in the middle of a window, a third of the way, and 50 that are killed 0.2
seconds into a window, two thirds of the way: in that window, what they hold is lost, and `used` does not count it.
`spread` and `wait` count the clients that are there all the time, `wait` from the start of each, late ones included.
The JSON line has the scripts that Redis ran in a window, and the CPU of Redis and of all clients as shares of one core.

**Memory** (`memory`, `volume`). PostgreSQL on the same machine, a table from `generate_series`, read with `sql=` and
`bulk=True`. The peak is `ru_maxrss` of the process, Airflow included. Each run is divided by the median of the runs of
100,000 rows. Ten million rows take minutes, so `volume` has one such run, between short ones, and is measured with
`--full` or by its name.

**Only what has changed** (`changed`). The same table, whose columns have the types of a warehouse: timestamps with a zone
and microseconds, numerics, dates, booleans and NULLs. The snapshot is a folder on a local disk. *first* is a run with
`changed_only=True` and no snapshot, in single requests with the default concurrency, against a server without limit and
latency; *without* is the same without `changed_only`, and what a night costs then. A million single requests take some six
minutes, so both send {few:,} users, {once}, and are compared by their cost per user, which does not depend on the number.
*second* is the run in which none of 1,000,000 users has changed, from a snapshot that an earlier run with `bulk=True`
wrote: the snapshot of single requests is the same. The server has to count 0 requests. *reading* is an operator that reads,
shapes and counts the same 1,000,000 rows, and does nothing else: what *second* takes above it is the snapshot and the
look-ups, and the one figure in seconds that depends on the machine; `changed.reading` is the same as a ratio.
`validate_only` would not do as a baseline, since it learns the types of all attributes, and takes longer than *second*. In
`changed.memory-first` two runs with `bulk=True` are compared, with `changed_only=True` and without it. Sizes are `ru_maxrss`
in megabytes.

**Finish of changed users** (`changed.finish`). As `finish`, with 2,000 units in 10 seconds for both kinds; between the
changed users are 49 times as many that have not changed, which a run before it has sent. The optimum is that of the changed
users alone: the burst that is timed for it reads none but them. The time includes the reading of all rows, once the first
request is sent, and the writing of the snapshot.

**Fingerprints alone** (`fingerprints`). The fingerprints of 10,000,000 made-up records in a process without Airflow and
without HTTP: the snapshot is written, every record is looked up in it, and the next generation is written. "all runs" has
the peak after each of these steps, `VmHWM` of the process above its start, in which mapped pages of files count; the JSON
line has anonymous memory too, and the seconds of each step. It takes minutes, so it is measured with `--full` or by its
name.
"""

TOGETHER = """`shared.bulk` runs concurrently with the finish
times, since it uses little CPU. `redis` and `headers` run concurrently, with nothing else, and their windows are
offset by half a window: one uses the CPU while the other sleeps."""
APART = "They run alone."


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
            measured, runs = _short(outcome.value), _listed(outcome.runs)
            word = "reached" if figure.reached(outcome.value) else "missed"
        found.append((figure.name, figure.what, figure.must, measured, runs, word))
    return found


def _listed(runs: Sequence[float]) -> str:
    if len(runs) > MOST_LISTED:
        return f"{len(runs)} runs, {_short(min(runs))} to {_short(max(runs))}"
    return ", ".join(map(_short, runs))


def table(outcomes: Mapping[Figure, Outcome]) -> str:
    """Return the table for the terminal, without the longest columns."""
    picked = [(name, must, measured, word) for name, _, must, measured, _, word in rows(outcomes)]
    widths = [max(len(row[place]) for row in picked) for place in range(len(picked[0]))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in picked
    )


def markdown(outcomes: Mapping[Figure, Outcome], *, windows: int, apart: bool, full: bool) -> str:
    """Return the content of RESULTS.md."""
    cells = rows(outcomes)
    lines = ["| " + " | ".join(row) + " |" for row in (cells[0], ("---",) * len(HEADINGS), *cells[1:])]
    why = [f"- {figure.name}: {outcome}" for figure, outcome in outcomes.items() if isinstance(outcome, str)]
    parts = [
        HEAD.format(processes=PROCESSES, **machine()),
        "\n".join(lines),
        *(["\n".join(why)] if why else []),
        explained(windows=windows, apart=apart, full=full),
    ]
    return "\n\n".join(part.strip("\n") for part in parts) + "\n"


def explained(*, windows: int, apart: bool, full: bool) -> str:
    """Return how the figures are measured."""
    return EXPLAINED.format(
        processes=PROCESSES,
        windows=windows,
        beside=APART if apart else TOGETHER,
        light=LIGHT,
        heavy=HEAVY,
        far=FAR * 1000,
        few=MANY if full else FEW,
        once="once" if full else "in every repetition",
    )


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
    return f"{value:.0f}" if value >= 1_000 or value == int(value) else f"{value:.4g}"
