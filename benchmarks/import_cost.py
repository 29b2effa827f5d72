"""
Measures the import time of the operators, against that of Airflow, requests and pydantic alone.

``python benchmarks/import_cost.py [RUNS]`` imports both alternately in fresh processes, and compares the medians.
"""

from __future__ import annotations

import statistics
import subprocess
import sys

BASELINE = """
try:
    from airflow.sdk import BaseOperator
except ImportError:
    from airflow.models.baseoperator import BaseOperator
import pydantic, requests
"""
OURS = "import airflow_provider_moengage.operators.users"
TIMED = "import time; started = time.perf_counter()\n{code}\nprint(time.perf_counter() - started)"


def seconds(code: str) -> float:
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", TIMED.format(code=code)],
        capture_output=True,
        text=True,
        check=True,
    )
    return float(done.stdout.splitlines()[-1])


def main(runs: int = 9) -> None:
    for code in (BASELINE, OURS):
        seconds(code)  # the first import writes bytecode
    baseline, ours = [], []
    for _ in range(runs):
        baseline.append(seconds(BASELINE))
        ours.append(seconds(OURS))
    base, own = statistics.median(baseline), statistics.median(ours)
    print(f"Airflow's operator base, requests, pydantic: {base:.3f} s (median of {runs})")
    print(f"airflow_provider_moengage.operators.users:   {own:.3f} s (median of {runs})")
    print(f"ratio: {own / base:.2f}")


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
