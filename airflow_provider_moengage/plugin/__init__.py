"""
Airflow's plugin: the live page of a sync, as a tab of its task instance on Airflow 3.1 and newer.

Every process of Airflow loads it, task processes included, so it imports nothing but Airflow's own base class: the app that
serves the page is built on its first request. Airflow 2.11 and 3.0 ignore what is registered here.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from airflow.configuration import conf
from airflow.plugins_manager import AirflowPlugin

if TYPE_CHECKING:
    from fastapi import FastAPI

#: Where the app is mounted, below the path of ``[api] base_url``.
URL_PREFIX = "/moengage"


class LazyApp:
    """An ASGI app that is imported and built when it is first called, in the API server alone."""

    def __init__(self) -> None:
        self._app: FastAPI | None = None

    async def __call__(
        self,
        scope: MutableMapping[str, Any],
        receive: Callable[[], Awaitable[MutableMapping[str, Any]]],
        send: Callable[[MutableMapping[str, Any]], Awaitable[None]],
    ) -> None:
        """Answer one request."""
        if self._app is None:
            from airflow_provider_moengage.plugin.web import build_app

            self._app = build_app()
        await self._app(scope, receive, send)


def base_path(base_url: str) -> str:
    """Return the path below which Airflow is served: of ``https://example.com/airflow/`` it is ``/airflow``."""
    return urlsplit(base_url).path.rstrip("/")


class MoEngagePlugin(AirflowPlugin):  # type: ignore[misc]
    """Registers the live page."""

    name = "moengage"
    fastapi_apps = [{"app": LazyApp(), "url_prefix": URL_PREFIX, "name": "moengage"}]
    external_views = [
        {
            "name": "MoEngage sync",
            # Used as it is written, so it has to begin with the path of a deployment.
            "href": (
                f"{base_path(conf.get('api', 'base_url', fallback=''))}{URL_PREFIX}"
                "/sync/{DAG_ID}/{RUN_ID}/{TASK_ID}?map_index={MAP_INDEX}"
            ),
            "destination": "task_instance",
            "url_route": "moengage_sync",
        }
    ]
