"""
Send the requests of Airflow's UI to Airflow's own API app, in this process, and print the answers as JSON.

``python ui_requests.py CONNECTIONS``: a JSON list of connections, each with the fields that are filled in, in the form. Every
one is saved and then tested.
"""

from __future__ import annotations

import json
import sys
from typing import Any

from airflow.api_fastapi.app import create_app
from fastapi.testclient import TestClient

STANDARD_FIELDS = ("description", "host", "login", "password", "port", "schema")


def saved(filled_in: dict[str, Any]) -> dict[str, Any]:
    """Return the body of *Save*: the UI leaves out what is empty, and sends all extras of the form."""
    return {**filled_in, "extra": json.dumps(filled_in["extra"], indent=2)}


def tested(row: dict[str, Any]) -> dict[str, Any]:
    """Return the body of *Test*, which the UI makes of a row of its list: ``""`` and 0 where a field is empty."""
    body = {name: row[name] or "" for name in STANDARD_FIELDS}
    body |= {"port": row["port"] or 0, "extra": row["extra"] or "{}"}
    return {"conn_type": row["conn_type"], "connection_id": row["connection_id"], **body}


def main() -> None:
    client = TestClient(create_app(apps="core"), base_url="http://127.0.0.1")
    token = client.get("/auth/token").json()["access_token"]
    client.headers["Authorization"] = f"Bearer {token}"
    outcomes = []
    for filled_in in json.loads(sys.argv[1]):
        save = client.post("/api/v2/connections", json=saved(filled_in))
        row = client.get(f"/api/v2/connections/{filled_in['connection_id']}").json()
        test = client.post("/api/v2/connections/test", json=tested(row))
        outcomes.append({"save": save.status_code, "test": test.status_code, "answer": test.json()})
    print(json.dumps(outcomes))


if __name__ == "__main__":
    main()
