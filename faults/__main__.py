"""
Kills a task repeatedly, and checks that nothing is lost.

``python -m faults [--kills N] [--rows N] [--seed N] [--only DAG] [--changed-only] [--write]``: prints one line a run, and a table at the
end. A violation is printed with the options that reproduce its DAG, and makes the exit code 1.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Iterator
from itertools import islice
from random import SystemRandom

from faults import results
from faults.campaign import Campaign
from faults.changed_only.plots import stories
from faults.run import Result
from faults.scenarios import CHANGED, dags

#: Kills of runs that send only changed users, as a share of the kills of the others.
CHANGED_SHARE = 0.5


def main() -> int:
    options = _options()
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as home:
        # Airflow writes its configuration to its home, which must not be the caller's.
        os.environ.setdefault("AIRFLOW_HOME", home)
        print(f"seed {options.seed}", flush=True)
        campaigns = list(_campaigns(options))
        done = [result for campaign in campaigns for result in campaign()]
    others = sum(len(shared.strangers) for campaign in campaigns for shared in campaign.shared.values())
    seconds = time.monotonic() - began
    print(f"\n{results.table(done)}\n\n{results.sentence(done, others, seconds)}")
    violations = [violation for result in done for violation in result.violations]
    for violation in violations:
        print(f"VIOLATION {violation}", file=sys.stderr)
    if violations:
        print(
            f"Repeat a DAG with: --seed {options.seed} --rows {options.rows} --only DAG, and --changed-only if it says "
            f"{CHANGED}",
            file=sys.stderr,
        )
    elif options.write:
        results.write(done, others, seconds)
    return int(bool(violations))


def _campaigns(options: argparse.Namespace) -> Iterator[Campaign]:
    """Yield the campaign of runs that send all rows, and that of runs that send only changed users."""
    only, kills = options.only, options.kills
    if not options.changed_only:
        chosen = dags(options.seed, options.rows)
        if only is not None:
            chosen = islice(chosen, only, only + 1)
        yield Campaign(chosen, 1 if only is not None else kills, _say)
    if options.changed_only or only is None:
        told = stories(options.seed, options.rows)
        if only is not None:
            told = islice(
                filter(None, (tuple(one for one in pair if one.number == only) for pair in told)), 1
            )
        enough = kills if options.changed_only else round(kills * CHANGED_SHARE)
        yield Campaign(told, 1 if only is not None else enough, _say)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m faults", description=(__doc__ or "").splitlines()[1])
    parser.add_argument(
        "--kills",
        type=int,
        default=200,
        metavar="N",
        help="minimum number of kills; 200, and half as many of runs that send only changed users",
    )
    parser.add_argument(
        "--rows", type=int, default=20_000, metavar="N", help="rows of each run of a DAG; 20,000"
    )
    parser.add_argument("--seed", type=int, metavar="N", help="the random seed; default: a new one")
    parser.add_argument("--only", type=int, metavar="DAG", help="run only this DAG of the seed")
    parser.add_argument(
        "--changed-only", action="store_true", help="only runs of users that send what has changed"
    )
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
        f"{'given up, ' if result.gave_up else ''}"
        f"{''.join(f'{what}, ' for what in result.damaged.elements())}"
        f"{result.seconds:.0f} s: {word}",
        flush=True,
    )


if __name__ == "__main__":
    sys.exit(main())
