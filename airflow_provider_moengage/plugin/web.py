"""The app that serves the live page; imported in the API server alone."""

from __future__ import annotations

import base64
import hashlib
import re
from pathlib import Path

# Dependencies of a route are found by its annotations, so they have to be imported here and not in a function.
from airflow.api_fastapi.auth.managers.models.resource_details import DagAccessEntity
from airflow.api_fastapi.core_api.security import requires_access_dag
from fastapi import Depends, FastAPI, Response

PAGE = Path(__file__).with_name("sync.html")


def build_app() -> FastAPI:
    """Return the app; whoever may not see the task instances of a DAG gets 401 or 403 from each of its routes."""
    content = PAGE.read_bytes()
    headers = {
        # The page is of the version that is installed.
        "Cache-Control": "no-cache",
        "Content-Security-Policy": content_security_policy(content.decode()),
        "Referrer-Policy": "same-origin",
        "X-Content-Type-Options": "nosniff",
    }
    access = requires_access_dag(method="GET", access_entity=DagAccessEntity.TASK_INSTANCE)
    # A mounted app is public, its documentation included.
    app = FastAPI(
        title="MoEngage sync",
        openapi_url=None,
        docs_url=None,
        redoc_url=None,
        # Below another path the page would not find the API.
        redirect_slashes=False,
        dependencies=[Depends(access)],
    )

    @app.get("/sync/{dag_id}/{run_id}/{task_id}")
    def sync(dag_id: str, run_id: str, task_id: str) -> Response:
        """Return the page, which reads from its own address what it shows."""
        return Response(content, media_type="text/html", headers=headers)

    return app


def content_security_policy(page: str) -> str:
    """Return a policy that allows the page's own script and style, requests to its own origin, and nothing else."""
    script, style = (
        " ".join(
            f"'sha256-{_sha256(text)}'" for text in re.findall(rf"<{tag}>(.*?)</{tag}>", page, re.DOTALL)
        )
        for tag in ("script", "style")
    )
    return (
        f"default-src 'none'; script-src {script}; style-src {style}; connect-src 'self'; img-src data:; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'self'"
    )


def _sha256(text: str) -> str:
    return base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
