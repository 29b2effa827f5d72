"""
Kills a task repeatedly, and checks that nothing is lost.

``python -m faults [--kills N] [--rows N] [--seed N] [--only DAG] [--write]``: prints one line a run, and a table at the
end. A violation is printed with the options that reproduce its DAG, and makes the exit code 1.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from itertools import islice
from random import SystemRandom

from faults import results
from faults.campaign import Campaign
from faults.run import Result
from faults.scenarios import dags


def main() -> int:
    options = _options()
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as home:
        # Airflow writes its configuration to its home, which must not be the caller's.
        os.environ.setdefault("AIRFLOW_HOME", home)
        chosen = dags(options.seed, options.rows)
        if options.only is not None:
            chosen = islice(chosen, options.only, options.only + 1)
        print(f"seed {options.seed}", flush=True)
        campaign = Campaign(chosen, 1 if options.only is not None else options.kills, _say)
        done = campaign()
    others = sum(len(shared.strangers) for shared in campaign.shared.values())
    seconds = time.monotonic() - began
    print(f"\n{results.table(done)}\n\n{results.sentence(done, others, seconds)}")
    violations = [violation for result in done for violation in result.violations]
    for violation in violations:
        print(f"VIOLATION {violation}", file=sys.stderr)
    if violations:
        print(f"Repeat a DAG with: --seed {options.seed} --rows {options.rows} --only DAG", file=sys.stderr)
    elif options.write:
        results.write(done, others, seconds)
    return int(bool(violations))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m faults", description=(__doc__ or "").splitlines()[1])
    parser.add_argument("--kills", type=int, default=200, metavar="N", help="minimum number of kills; 200")
    parser.add_argument(
        "--rows", type=int, default=20_000, metavar="N", help="rows of each run of a DAG; 20,000"
    )
    parser.add_argument("--seed", type=int, metavar="N", help="the random seed; default: a new one")
    parser.add_argument("--only", type=int, metavar="DAG", help="run only this DAG of the seed")
    parser.add_argument("--write", action="store_true", help=f"write the figures into {results.PATH.name}")
    options = parser.parse_args()
    if options.seed is None:
        options.seed = SystemRandom().randrange(10**6)
    return options


def _say(result: Result) -> None:
    word = f"{len(result.violations)} VIOLATIONS" if result.violations else "kept"
    print(
        f"{result.scenario}: {result.kills.total()} kills ({result.late} after the report), "
        f"{result.outages} outages, {result.tries} tries, {result.deferrals} deferrals, "
        f"{result.seconds:.0f} s: {word}",
        flush=True,
    )


if __name__ == "__main__":
    sys.exit(main())
