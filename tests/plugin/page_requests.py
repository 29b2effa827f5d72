"""
Request the live page from Airflow's own API app, in this process, and print what it answers as JSON.

``python page_requests.py``: the plugin has to be in the folder of plugins, or installed.
"""

from __future__ import annotations

import json

from airflow.api_fastapi.app import create_app, get_auth_manager
from airflow.api_fastapi.auth.managers.simple.user import SimpleAuthManagerUser
from fastapi.testclient import TestClient

from airflow_provider_moengage.plugin import base_path, conf

SYNC = "/moengage/sync/dag/manual__2026-01-01T00%3A00%3A00%2B00%3A00/push"


def main() -> None:
    app = create_app(apps="core")
    base = base_path(conf.get("api", "base_url", fallback=""))
    anyone = TestClient(app, base_url="http://127.0.0.1")
    token, nobody = (
        get_auth_manager().generate_jwt(SimpleAuthManagerUser(username=name, role=role))
        for name, role in (("viewer", "VIEWER"), ("nobody", None))
    )
    bearer = {"Authorization": f"Bearer {token}"}
    page = anyone.get(base + SYNC, headers=bearer)
    outcome = {
        "anyone": anyone.get(base + SYNC).status_code,
        "wrong cookie": anyone.get(base + SYNC, headers={"Cookie": "_token=wrong"}).status_code,
        "nobody": anyone.get(base + SYNC, headers={"Authorization": f"Bearer {nobody}"}).status_code,
        "nobody's cookie": anyone.get(base + SYNC, headers={"Cookie": f"_token={nobody}"}).status_code,
        "bearer": page.status_code,
        "cookie": anyone.get(base + SYNC, headers={"Cookie": f"_token={token}"}).status_code,
        "others": {
            path: anyone.get(f"{base}/moengage/{path}", follow_redirects=False).status_code
            for path in (
                "",
                "docs",
                "redoc",
                "openapi.json",
                "sync.html",
                "sync/dag/run",
                "sync/dag/run/push/",
                "%2e%2e/docs",
            )
        },
        "methods": {
            method: anyone.request(method, base + SYNC, headers=bearer).status_code
            for method in ("HEAD", "OPTIONS", "POST", "PUT", "DELETE")
        },
        "headers": dict(page.headers),
        "text": page.text,
        "plugins": [
            view
            for plugin in anyone.get(f"{base}/api/v2/plugins", headers=bearer).json()["plugins"]
            for view in plugin["external_views"]
        ],
    }
    print(json.dumps(outcome))


if __name__ == "__main__":
    main()
