"""
Parse a folder of DAG files as Airflow does, and print as JSON what came of it.

A program of its own, so that what modules do when they are first imported is seen too.
"""

from __future__ import annotations

import json
import sys

try:
    from airflow.dag_processing.dagbag import DagBag
    from airflow.sdk import BaseHook
except ImportError:  # Airflow 2.11
    from airflow.hooks.base import BaseHook
    from airflow.models.dagbag import DagBag

# The network, and Airflow's metadata database, which is a file here. Python reports them whoever calls.
REACHING_OUT = ("socket.connect", "socket.getaddrinfo", "sqlite3.connect")


def main(folder: str) -> None:
    calls: list[str] = []

    def record(event: str, arguments: tuple[object, ...]) -> None:
        if event in REACHING_OUT:
            calls.append(f"{event} {arguments}")

    def get_connection(conn_id: str, *_: object) -> object:
        calls.append(f"get_connection {conn_id}")
        raise RuntimeError("a connection is read while the file is parsed")

    sys.addaudithook(record)
    BaseHook.get_connection = staticmethod(get_connection)
    bag = DagBag(folder)
    shown = {
        dag.dag_id: {
            "doc_md": dag.doc_md,
            "description": dag.description,
            "params": {name: dag.params.get_param(name).description for name in dag.params},
        }
        for dag in bag.dags.values()
    }
    outcome = {"dags": sorted(shown), "shown": shown, "import_errors": bag.import_errors, "calls": calls}
    print(json.dumps(outcome))


if __name__ == "__main__":
    main(*sys.argv[1:])
