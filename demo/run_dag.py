"""
Run the DAG of a file with ``dag.test()``, and write the outcome as JSON.

``python demo/run_dag.py DAG_FILE RESULT_FILE [CONF_AS_JSON [LOGICAL_DATE]]``, in an Airflow home whose database is migrated
and whose DAGs folder contains the file. A separate program, because Airflow reads its settings when it is
imported, and to keep its log separate. The exit code does not show failed tasks: read the state.
A mapped task has one entry per instance: ``push[0]``, ``push[1]``.
"""

from __future__ import annotations

import inspect
import json
import runpy
import sys
from datetime import datetime
from pathlib import Path


def main(dag_file: str, result_file: str, conf: str = "{}", logical_date: str | None = None) -> None:
    dag = runpy.run_path(dag_file)["dag"]
    date = {}
    if logical_date is not None:
        # Airflow 2 calls it the execution date.
        named = {"logical_date", "execution_date"} & inspect.signature(dag.test).parameters.keys()
        date = {named.pop(): datetime.fromisoformat(logical_date)}
    run = dag.test(**date, run_conf=json.loads(conf))
    tasks = {}
    for ti in run.get_task_instances():
        mapped = ti.map_index >= 0
        report = ti.xcom_pull(task_ids=ti.task_id, key="report", map_indexes=ti.map_index if mapped else None)
        returned = ti.xcom_pull(task_ids=ti.task_id, map_indexes=ti.map_index if mapped else None)
        tasks[f"{ti.task_id}[{ti.map_index}]" if mapped else ti.task_id] = {
            "state": ti.state,
            "report": report,
            "returned": returned,
        }
    Path(result_file).write_text(json.dumps({"state": run.state, "tasks": tasks}))


if __name__ == "__main__":
    main(*sys.argv[1:])
