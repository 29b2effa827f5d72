"""
Measures the figures, all or the named ones, and reports which reach their bound.

``python -m benchmarks [--list] [--write] [--full] [--apart] [--repetitions N] [--windows N] [NAME...]``; a name is that
of a figure or of a group: ``bulk``, ``finish.single-up``. Prints one line of JSON a figure, and a table at the end.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed

from benchmarks import changed, contenders, memory, results, speed
from benchmarks.concurrency import concurrency
from benchmarks.figures import FIGURES, HEAVY, LIGHT, Figure, Outcome, Unavailable, chosen
from benchmarks.finish import finish
from benchmarks.processes import contender
from benchmarks.scale import scale
from benchmarks.shared import shared
from benchmarks.small import small

Outcomes = dict[str, Outcome]
#: Called with the members of a group to measure.
Measure = Callable[[Sequence[str]], Outcomes]


def main() -> int:
    options = _options()
    if options.list:
        print("\n".join(f"{figure.name:<27}{figure.must:<11}{figure.what}" for figure in options.figures))
        return 0
    began = time.monotonic()
    outcomes: dict[Figure, Outcome] = {}
    with tempfile.TemporaryDirectory() as home:
        # Airflow writes its configuration to its home, which must not be the caller's.
        os.environ.setdefault("AIRFLOW_HOME", home)
        with contender(contenders.nothing):
            pass
        for figure, outcome in _measure(options):
            outcomes[figure] = outcome
            print(results.line(figure, outcome), flush=True)
    outcomes = {figure: outcomes[figure] for figure in options.figures}
    print(f"\n{results.table(outcomes)}\n\n{time.monotonic() - began:.0f} s")
    if options.write:
        results.PATH.write_text(
            results.markdown(outcomes, windows=options.windows, apart=options.apart, full=options.full),
            encoding="utf-8",
        )
    return int(any(isinstance(outcome, str) for outcome in outcomes.values()))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=(__doc__ or "").splitlines()[1])
    parser.add_argument("names", nargs="*", metavar="NAME", help="a figure or a group of figures; none: all")
    parser.add_argument("--list", action="store_true", help="list the figures without measuring them")
    parser.add_argument("--write", action="store_true", help=f"write {results.PATH.name}; needs --full")
    parser.add_argument(
        "--full",
        action="store_true",
        help="measure what takes minutes too: ten million rows, a million single requests, ten million fingerprints",
    )
    parser.add_argument("--repetitions", type=int, default=3, metavar="N", help="runs of each contender; 3")
    parser.add_argument(
        "--windows", type=int, default=10, metavar="N", help="number of shared windows to measure; 10"
    )
    parser.add_argument("--apart", action="store_true", help="run nothing concurrently; slower")
    options = parser.parse_args()
    try:
        options.figures = chosen(options.names, full=options.full)
    except ValueError as error:
        parser.error(str(error))
    if options.write and len(options.figures) < len(FIGURES):
        parser.error("--write needs every figure; name none, and use --full")
    return options


def _measure(options: argparse.Namespace) -> Iterator[tuple[Figure, Outcome]]:
    """Measure one group after another; run groups that mostly sleep concurrently."""
    times, count = options.repetitions, options.windows
    turns: list[dict[str, Measure]] = [
        {"small": lambda names: small(names, times)},
        {"plain": lambda names: speed.plain(times)},
        {"bulk": lambda names: speed.bulk(times, "bulk", names)},
        {"warehouse": lambda names: speed.warehouse(times)},
        {"threads": lambda names: speed.bulk(times, "threads", names)},
        {"latency": lambda names: speed.latency(times)},
        {"concurrency": lambda names: concurrency(names, times)},
        {"scale": lambda names: scale(names, count)},
        {"memory": lambda names: memory.memory(times)},
        {"volume": lambda names: memory.volume(times)},
        {"changed.finish": lambda names: changed.finish(times)},
        {"changed": lambda names: changed.changed(times, full=options.full)},
        {"fingerprints": lambda names: changed.fingerprints()},
        {
            "finish": lambda names: _finish(names, times),
            "shared.bulk": lambda names: shared(names, count),
        },
        # Their bursts alternate: see shared().
        {"shared": lambda names: shared(names, count)},
    ]
    if options.apart:
        one_by_one = turns[-2], {"shared.redis": turns[-1]["shared"]}, {"shared.headers": turns[-1]["shared"]}
        turns[-2:] = [{group: measure} for turn in one_by_one for group, measure in turn.items()]
    left = list(options.figures)
    for turn in turns:
        wanted = {group: [one for one in left if one.is_below(group)] for group in turn}
        left = [figure for figure in left if not any(figure in figures for figures in wanted.values())]
        with ThreadPoolExecutor() as pool:
            under_way = {
                pool.submit(_attempt, turn[group], figures): figures
                for group, figures in wanted.items()
                if figures
            }
            for done in as_completed(under_way):
                outcomes = done.result()
                yield from (
                    (figure, outcomes if isinstance(outcomes, str) else outcomes[figure.name])
                    for figure in under_way[done]
                )


def _attempt(measure: Measure, figures: Sequence[Figure]) -> Outcomes | str:
    """Measure; return the reason if it fails, so that the other figures are still measured."""
    try:
        # The second part of a figure's name is the member of the group.
        return measure(list(dict.fromkeys(figure.name.split(".")[1] for figure in figures)))
    except Unavailable as error:
        return str(error)
    except Exception as error:
        traceback.print_exc()
        return f"{type(error).__name__}: {str(error).strip().splitlines()[-1]}"


def _finish(names: Sequence[str], times: int) -> Outcomes:
    light = [name for name in names if not name.startswith("single")]
    heavy = [name for name in names if name.startswith("single")]
    return {**finish(times, light, LIGHT), **finish(times, heavy, HEAVY)}


if __name__ == "__main__":
    sys.exit(main())
