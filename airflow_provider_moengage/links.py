"""Links of a task in Airflow's UI: the workspace's dashboard, and the folder of the rejected rows."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import quote, urlsplit, urlunsplit

from airflow_provider_moengage._compat import BaseOperatorLink

log = logging.getLogger(__name__)


class MoEngageDashboardLink(BaseOperatorLink):
    """The dashboard of the workspace's data centre; none for a connection that has a host."""

    name = "MoEngage dashboard"
    xcom_key = "moengage_dashboard"

    def get_link(self, operator: Any, *, ti_key: Any) -> Any:
        """Return the URL; None: there is none."""
        return _link(operator, ti_key, self.xcom_key)


class MoEngageRejectedRowsLink(BaseOperatorLink):
    """The folder of the rejected rows in the console of its cloud; none for a local folder."""

    name = "Rejected rows"
    xcom_key = "moengage_rejected_rows"

    def get_link(self, operator: Any, *, ti_key: Any) -> Any:
        """Return the URL; None: there is none."""
        return _link(operator, ti_key, self.xcom_key)


def push_links(operator: Any, ti: Any) -> dict[str, str | None]:
    """Write the links of a task to XCom, from where Airflow reads them while it runs, and return them by their keys."""
    links: dict[str, str | None] = dict.fromkeys(_LINKS)
    for key, url_of in _LINKS.items():
        try:
            links[key] = url = url_of(operator, ti)
            if url is not None:
                ti.xcom_push(key=key, value=url)
        except Exception as error:
            # Rows are worth more than a link.
            log.warning("The link %s cannot be shown: %s", key, type(error).__name__)
    return links


def _link(operator: Any, ti_key: Any, key: str) -> str | None:
    # Airflow 3 asks in the task's own process, where the operator is whole, and Airflow 2 in the webserver.
    if not hasattr(operator, "mapping"):
        from airflow.models.xcom import XCom

        pushed: str | None = XCom.get_value(key=key, ti_key=ti_key)
        return pushed
    links: Mapping[str, str | None] | None = operator.links
    # A task whose deferral failed has pushed them from another process.
    return _LINKS[key](operator, ti_key) if links is None else links[key]


def dashboard_url(operator: Any, ti: Any) -> str | None:
    """Return the address of the dashboard; None: the connection has a host, or cannot be used."""
    from airflow_provider_moengage.api.errors import MoEngageError
    from airflow_provider_moengage.api.workspace import normalize_data_center
    from airflow_provider_moengage.hooks.connection import read_connection

    try:
        fields = read_connection("moengage_conn_id", operator.moengage_conn_id, "moengage")
        if fields.host:
            return None
        return f"https://dashboard-{normalize_data_center(fields.extras.get('data_center'))}.moengage.com"
    except MoEngageError:
        # The run itself fails of it, with a better message.
        return None


def rejected_rows_url(operator: Any, ti: Any) -> str | None:
    """Return where a browser shows the folder of a task's rejected rows; None: nowhere."""
    from airflow_provider_moengage.delivery.storage import task_folder

    return console_url(task_folder(str(operator.rejected_path), ti)) if operator.rejected_path else None


def console_url(url: str) -> str | None:
    """
    Return where a browser shows a folder; None: nowhere.

    :param url: as ``ObjectStoragePath`` accepts it; may contain the connection (``s3://conn_id@bucket/key``).
    """
    # A folder's name may contain what would end the path of a URL.
    scheme, _, rest = url.partition("://")
    authority, _, path = rest.partition("/")
    conn_id, _, bucket = authority.rpartition("@")
    if scheme in ("http", "https"):
        return urlunsplit(urlsplit(url)._replace(netloc=bucket))
    if re.fullmatch(r"s3[an]?", scheme) and not _has_own_endpoint(conn_id):
        return f"https://console.aws.amazon.com/s3/buckets/{quote(bucket)}?prefix={quote(path, safe='/')}/"
    if scheme in ("gs", "gcs"):
        return f"https://console.cloud.google.com/storage/browser/{quote(bucket)}/{quote(path, safe='/')}"
    return None


def _has_own_endpoint(conn_id: str) -> bool:
    """Whether a connection leads to a store that only speaks S3, which Amazon's console does not show."""
    from airflow_provider_moengage.api.errors import MoEngageError
    from airflow_provider_moengage.delivery.connections import connection_of

    if not conn_id:
        return False
    try:
        return "endpoint_url" in str(connection_of("rejected_path", conn_id).extra_dejson)
    except MoEngageError:
        return True


_LINKS: Mapping[str, Callable[[Any, Any], str | None]] = {
    MoEngageDashboardLink.xcom_key: dashboard_url,
    MoEngageRejectedRowsLink.xcom_key: rejected_rows_url,
}
