"""Snowflake's protocol as far as a query needs it, for the real classes of Airflow's hook and of Snowflake's connector."""

from __future__ import annotations

import json
import threading
import uuid
from typing import Any

SESSION = 4242
CANCEL = f"select system$cancel_all_queries({SESSION})"


def connection_json(port: int) -> str:
    """Return the value of an ``AIRFLOW_CONN_…`` variable."""
    extra = {"account": "shop", "host": "127.0.0.1", "port": port}
    return json.dumps(
        {"conn_type": "snowflake", "login": "tester", "password": "tester-password", "extra": extra}
    )


class Snowflake:
    """
    Answers each query with the same rows, in the JSON form.

    :param columns: the columns' types by their names.
    :param hangs: whether the query runs until another session cancels it.
    """

    def __init__(
        self, columns: list[dict[str, Any]], rows: list[list[str | None]], hangs: bool = False
    ) -> None:
        self.columns = columns
        self.rows = rows
        self.hangs = hangs
        self.running = threading.Event()
        self.cancelled = threading.Event()
        self.statements: list[str] = []

    def __call__(self, method: str, path: str, query: dict[str, str], body: Any) -> dict[str, Any]:
        if path.endswith("login-request"):
            data = {
                "token": "t",
                "masterToken": "m",
                "sessionId": SESSION,
                "parameters": [],
                "sessionInfo": {},
            }
            return {"success": True, "code": None, "message": None, "data": data}
        if not path.endswith("query-request"):
            return {"success": True, "code": None, "message": None, "data": {}}
        statement = body["sqlText"]
        self.statements.append(statement)
        if statement == CANCEL:
            self.cancelled.set()
            return self._result([column("RESULT", "TEXT")], [["1 query cancelled"]])
        if self.hangs and not statement.lower().startswith(("alter", "commit", "rollback")):
            self.running.set()
            self.cancelled.wait(60)
            return {
                "success": False,
                "code": "000604",
                "message": "SQL execution canceled",
                "data": {"queryId": str(uuid.uuid4()), "sqlState": "57014", "errorCode": "000604"},
            }
        return self._result(self.columns, self.rows)

    def _result(self, columns: list[dict[str, Any]], rows: list[list[str | None]]) -> dict[str, Any]:
        data = {
            "parameters": [],
            "rowtype": columns,
            "rowset": rows,
            "total": len(rows),
            "returned": len(rows),
            "queryId": str(uuid.uuid4()),
            "queryResultFormat": "json",
            "statementTypeId": 4096,
            "finalDatabaseName": "SHOP",
            "finalSchemaName": "PUBLIC",
            "version": 1,
        }
        return {"success": True, "code": None, "message": None, "data": data}


def column(name: str, kind: str, precision: int | None = None, scale: int | None = None) -> dict[str, Any]:
    """Return the description of a column."""
    return {
        "name": name,
        "type": kind.lower(),
        "precision": precision,
        "scale": scale,
        "nullable": True,
        "length": 100,
        "byteLength": 400,
        "database": "",
        "schema": "",
        "table": "",
        "collation": None,
    }


__all__ = ["CANCEL", "Snowflake", "column", "connection_json"]
