"""
Sends ugly rows through every medium, single and in bulk, and compares what came of every row.

``python -m tests.end_to_end.ugly [--rows N] [--seed N] [--rate SHARE] [--only list,postgres] [--modes single,bulk]``: each run is a
line of a table. A difference is printed below it, and makes the exit code 1.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from random import SystemRandom
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.end_to_end.ugly.media import Medium
    from tests.end_to_end.ugly.run import Compared

MEDIA = ("list", "postgres", "mariadb", "csv", "csv-excel", "ndjson", "parquet")
MODES = ("single", "bulk", "drop")
HEAD = ("medium", "mode", "read", "accepted", "rejected", "unsent", "bent", "differences", "seconds")
SHOWN = 40


def main() -> int:
    options = _options()
    with tempfile.TemporaryDirectory() as home:
        # Airflow writes its configuration somewhere: not into the caller's own home.
        os.environ.setdefault("AIRFLOW_HOME", home)
        os.environ["AIRFLOW__LOGGING__LOGGING_LEVEL"] = "ERROR"
        print(f"seed {options.seed}\n" + _line(HEAD), flush=True)
        differ = 0
        for compared in _runs(options, Path(home)):
            differ += compared.differences.total()
            _print(compared)
    return int(differ > 0)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m tests.end_to_end.ugly", description=(__doc__ or "").splitlines()[1]
    )
    parser.add_argument("--rows", type=int, default=100_000, metavar="N", help="rows of each medium; 100,000")
    parser.add_argument("--seed", type=int, metavar="N", help="what is random is drawn from it; a new one")
    parser.add_argument("--rate", type=float, default=0.01, metavar="SHARE", help="rows of each kind; 0.01")
    parser.add_argument(
        "--only", default=",".join(MEDIA), metavar="MEDIA", help=f"some of {', '.join(MEDIA)}"
    )
    parser.add_argument(
        "--modes", default=",".join(MODES), metavar="MODES", help=f"some of {', '.join(MODES)}"
    )
    options = parser.parse_args()
    if options.seed is None:
        options.seed = SystemRandom().randrange(10**6)
    return options


def _runs(options: argparse.Namespace, folder: Path) -> Iterator[Compared]:
    # Not before the environment is what Airflow is to find.
    from airflow_provider_moengage.sandbox.client import running_sandbox
    from tests.end_to_end.ugly.run import sent, written

    with ExitStack() as stack:
        sandbox = stack.enter_context(running_sandbox())
        os.environ["AIRFLOW_CONN_MOENGAGE_DEFAULT"] = sandbox.connection_json
        for name in options.only.split(","):
            source = written(
                _medium(name, stack), folder / name, rows=options.rows, seed=options.seed, rate=options.rate
            )
            for mode in options.modes.split(","):
                yield sent(source, mode, sandbox)


def _medium(name: str, stack: ExitStack) -> Medium:
    from tests.end_to_end.ugly import databases
    from tests.end_to_end.ugly.media import FILES
    from tests.support import mariadb, postgres

    if name == "postgres":
        programs = postgres.find_programs()
        if programs is None:
            raise SystemExit(postgres.NO_PROGRAMS)
        server = stack.enter_context(postgres.running_postgres(programs))
        os.environ["AIRFLOW_CONN_UGLY_POSTGRES"] = server.connection_json
        return databases.postgres(server)
    if name == "mariadb":
        found = mariadb.find_programs()
        if found is None:
            raise SystemExit(mariadb.MISSING)
        running = stack.enter_context(mariadb.running_mariadb(found))
        os.environ["AIRFLOW_CONN_UGLY_MARIADB"] = running.connection_json()
        return databases.mariadb(running)
    return next(medium for medium in FILES if medium.name == name)


def _print(compared: Compared) -> None:
    counts = (f"{compared.report.get(name, '?'):,}" if compared.report else "?" for name in HEAD[2:6])
    differences = compared.differences.total()
    print(
        _line(
            (
                compared.medium,
                compared.mode,
                *counts,
                f"{compared.bent:,}",
                f"{differences:,}",
                f"{compared.seconds:.0f}",
            )
        )
    )
    for what, count in compared.differences.most_common(SHOWN):
        print(f"    {count:,} x {what} ({compared.examples[what]})")
    sys.stdout.flush()


def _line(cells: tuple[str, ...]) -> str:
    return "  ".join(cell.ljust(11) if place < 2 else cell.rjust(11) for place, cell in enumerate(cells))


if __name__ == "__main__":
    sys.exit(main())
