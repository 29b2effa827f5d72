"""Everything on this machine that a run needs: PostgreSQL, Redis, an S3 server, a sandbox, and Airflow."""

from __future__ import annotations

import importlib.util
import json
import secrets
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import psycopg2

from airflow_provider_moengage.sandbox.client import Sandbox, running_sandbox
from faults.cluster.components import Cluster, running_cluster
from faults.cluster.source import Customers
from faults.real_airflow import DAGS
from tests.support import postgres, redis_server
from tests.support.postgres import PostgresServer, running_postgres
from tests.support.redis_server import running_redis
from tests.support.s3_server import BUCKET, CONN_ID, S3Server, running_s3

DAG_ID = "cluster"
#: The databases of the PostgreSQL server: Airflow's and the source's.
METADATA, WAREHOUSE = "airflow", "warehouse"
#: The databases of the Redis server: Celery's and that of the rate windows.
BROKER_DB, WINDOWS_DB = 0, 1
FOLDER = f"s3://{CONN_ID}@{BUCKET}"
#: The folders in it, as the DAG has them.
RUNS, REJECTED, SNAPSHOTS = "runs", "runs/rejected", "snapshots"
#: Seconds that MoEngage takes for a request, so that some are in flight when a worker dies.
LATENCY = 0.1


@dataclass(frozen=True)
class Setup:
    """
    What all checks share.

    :param postgres: the server of both databases.
    :param metadata: the URI of Airflow's database.
    """

    cluster: Cluster
    sandbox: Sandbox
    lake: S3Server
    postgres: PostgresServer
    metadata: str
    customers: Customers

    def bulk_window(self) -> dict[str, Any]:
        """Return the state of the window of users in Bulk Import, and of those that have ended."""
        windows = {window["quota"]: window for window in self.sandbox.state()["windows"]}
        return dict(windows["bulk_users"])


def missing() -> str:
    """Return what this machine lacks, and where to get it; empty: nothing."""
    if importlib.util.find_spec("celery") is None:
        return "The Celery executor is not installed here: run `make cluster`."
    if postgres.find_programs() is None:
        return f"Needs {postgres.NO_PROGRAMS}"
    if redis_server.find_program() is None:
        return f"Needs {redis_server.MISSING}"
    return ""


@contextmanager
def running_setup(**settings: Any) -> Iterator[Setup]:
    """
    Start all servers, and Airflow with them; on exit end them all.

    :param settings: those of the sandbox.
    """
    programs = postgres.find_programs()
    assert programs is not None
    with ExitStack() as stack:
        home = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="faults-cluster-")))
        database = stack.enter_context(running_postgres(programs))
        redis = stack.enter_context(running_redis())
        lake = stack.enter_context(running_s3())
        # A key of its own: what is found in a log is not there by chance.
        sandbox = stack.enter_context(
            running_sandbox(api_key=secrets.token_hex(16), latency_seconds=LATENCY, **settings)
        )
        metadata, warehouse = (replace(database, dbname=name) for name in (METADATA, WAREHOUSE))
        _create_databases(database)
        connections = {
            "moengage_default": {**sandbox.connection, "extra": {"rate_limit_conn_id": "rate_limits"}},
            "rate_limits": {**redis.connection, "extra": {"db": WINDOWS_DB}},
        }
        variables = {
            **{f"AIRFLOW_CONN_{name.upper()}": json.dumps(fields) for name, fields in connections.items()},
            "AIRFLOW_CONN_WAREHOUSE": warehouse.connection_json,
            f"AIRFLOW_CONN_{CONN_ID.upper()}": lake.connection_json,
            "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": _dialect(metadata),
            "AIRFLOW__CELERY__RESULT_BACKEND": f"db+{_dialect(metadata)}",
            "AIRFLOW__CELERY__BROKER_URL": f"redis://{redis.host}:{redis.port}/{BROKER_DB}",
            "FAULTS_STAGING": f"{FOLDER}/{RUNS}",
            "FAULTS_SNAPSHOTS": f"{FOLDER}/{SNAPSHOTS}",
        }
        cluster = stack.enter_context(running_cluster(home, DAGS, [DAG_ID], variables))
        yield Setup(cluster, sandbox, lake, database, metadata.uri, Customers(warehouse.uri))


def _create_databases(server: PostgresServer) -> None:
    with closing(psycopg2.connect(server.uri)) as connection:
        connection.autocommit = True
        with connection.cursor() as cursor:
            for name in (METADATA, WAREHOUSE):
                cursor.execute(f"create database {name}")


def _dialect(server: PostgresServer) -> str:
    return server.uri.replace("postgresql://", "postgresql+psycopg2://", 1)
