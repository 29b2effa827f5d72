"""BigQuery's REST API as far as a query needs it, for the real classes of Airflow's hook and of Google's client."""

from __future__ import annotations

import json
import threading
from typing import Any

from tests.support.warehouse_stub import Rejected

PROJECT = "shop"
CONNECTION = json.dumps(
    {
        "conn_type": "gcpbigquery",
        "extra": {"project": PROJECT, "is_anonymous": True, "use_legacy_sql": False, "location": "EU"},
    }
)


class BigQuery:
    """
    Answers each query with the same rows.

    :param fields: the schema.
    :param rows: the cells of each row, in the form of the API: ``{"v": …}`` is added here.
    :param error: ends the query with this message.
    :param hangs: whether the query runs until it is cancelled.
    """

    def __init__(
        self, fields: list[dict[str, Any]], rows: list[list[Any]], error: str = "", hangs: bool = False
    ) -> None:
        self.fields = fields
        self.rows = rows
        self.error = error
        self.hangs = hangs
        self.running = threading.Event()
        self.cancelled = threading.Event()
        #: How many rows each page had.
        self.pages: list[int] = []

    def __call__(self, method: str, path: str, query: dict[str, str], body: Any) -> dict[str, Any]:
        parts = path.split("/")
        if path.endswith("/cancel"):
            self.cancelled.set()
            return {"job": self._job(parts[-2])}
        if path.endswith("/jobs") and method == "POST":
            return self._job(body["jobReference"]["jobId"])
        if "/queries/" in path:
            return self._result(parts[-1], query)
        if path.endswith("/data"):
            return self._page(query)
        return self._job(parts[-1])

    def _job(self, job_id: str) -> dict[str, Any]:
        done = not self.hangs or self.cancelled.is_set()
        status: dict[str, Any] = {"state": "DONE" if done else "RUNNING"}
        if self.error and done:
            status["errorResult"] = {"reason": "invalidQuery", "message": self.error}
        if self.hangs and done:
            status["errorResult"] = {"reason": "stopped", "message": "Job execution was cancelled"}
        table = {"projectId": PROJECT, "datasetId": "temporary", "tableId": "result"}
        return {
            "jobReference": {"projectId": PROJECT, "jobId": job_id, "location": "EU"},
            "configuration": {
                "jobType": "QUERY",
                "query": {"query": "select 1", "useLegacySql": False, "destinationTable": table},
            },
            "status": status,
            "statistics": {"query": {"statementType": "SELECT"}},
        }

    def _result(self, job_id: str, query: dict[str, str]) -> dict[str, Any]:
        reference = self._job(job_id)["jobReference"]
        if self.hangs and not self.cancelled.is_set():
            self.running.set()
            self.cancelled.wait(0.2)
            return {"jobComplete": False, "jobReference": reference}
        if self.error:
            raise Rejected(
                400,
                {
                    "error": {
                        "code": 400,
                        "message": self.error,
                        "errors": [{"reason": "invalidQuery", "message": self.error}],
                    }
                },
            )
        found = {
            "jobComplete": True,
            "jobReference": reference,
            "schema": {"fields": self.fields},
            "totalRows": str(len(self.rows)),
        }
        return found if query.get("maxResults") == "0" else {**found, **self._page(query)}

    def _page(self, query: dict[str, str]) -> dict[str, Any]:
        start = int(query.get("pageToken") or query.get("startIndex") or 0)
        end = start + int(query.get("maxResults") or 1_000)
        rows = self.rows[start:end]
        self.pages.append(len(rows))
        page: dict[str, Any] = {
            "rows": [{"f": [{"v": cell} for cell in row]} for row in rows],
            "totalRows": str(len(self.rows)),
        }
        return {**page, "pageToken": str(end)} if end < len(self.rows) else page
