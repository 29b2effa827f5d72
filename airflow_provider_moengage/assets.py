"""
Assets of the scheme ``moengage``: ``moengage://DATA_CENTER/WORKSPACE/users``.

In place of ``users`` stands ``events``, ``events/NAME``, ``devices`` or ``cohorts/ID``, and in place of the data centre the
host of a connection that has one.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any
from urllib.parse import SplitResult, quote, unquote, urlsplit, urlunsplit

from airflow_provider_moengage._compat import Asset
from airflow_provider_moengage.api.errors import MoEngageParameterError
from airflow_provider_moengage.api.workspace import normalize_data_center
from airflow_provider_moengage.lineage.names import part_of_name

SCHEME = "moengage"
#: What a workspace has, and how many names follow: at least and at most.
DATASETS: Mapping[str, tuple[int, int]] = {
    "users": (0, 0),
    "events": (0, 1),
    "devices": (0, 0),
    "cohorts": (1, 1),
}
_FORM = "use moengage://DATA_CENTER/WORKSPACE/users, or /events, /events/NAME, /devices, /cohorts/ID in place of /users"


def create_asset(
    *, data_center: str, workspace: str, what: str = "users", extra: dict[str, Any] | None = None
) -> Asset:
    """
    Return an asset.

    :param data_center: as in the connection, such as ``01``.
    :param workspace: the Workspace ID.
    :param what: ``users``, ``events``, ``events/NAME``, ``devices`` or ``cohorts/ID``.
    :param extra: kept with the asset.
    :raises ValueError: they name no dataset of a workspace.
    """
    kind, slash, name = what.partition("/")
    parts = "/".join(quote(part, safe="") for part in (workspace, kind, *([name] if slash else [])))
    # Airflow takes an asset's name from its URI as it is written, and two names of one URI for a conflict.
    uri = sanitize_uri(urlsplit(f"{SCHEME}://{data_center}/{parts}"))
    return Asset(uri=urlunsplit(uri), extra=extra)


def sanitize_uri(uri: SplitResult) -> SplitResult:
    """
    Return the URI of an asset as it is compared with others: ``moengage://1/…`` is ``moengage://01/…``, and
    ``Order placed`` is ``Order%20placed``.

    :raises ValueError: it names no dataset of a workspace.
    """
    workspace, _, what = uri.path.removeprefix("/").partition("/")
    kind, *names = what.split("/")
    fewest, most = DATASETS.get(kind, (0, -1))
    host = uri.netloc.rpartition("@")[2].lower()
    if not host or not workspace or not all(names) or not fewest <= len(names) <= most or uri.query:
        raise ValueError(f"the URI names nothing that a workspace of MoEngage has; {_FORM}")
    # A host has a letter at its beginning, or dots and a port.
    if re.fullmatch(r"(?:dc[-_]?)?\d+", host):
        try:
            host = normalize_data_center(host)
        except MoEngageParameterError as error:
            raise ValueError(str(error)) from None
    path = "/".join(quote(unquote(part), safe="") for part in (workspace, kind, *names))
    return uri._replace(netloc=host, path=f"/{path}")


def convert_asset_to_openlineage(asset: Asset, lineage_context: object) -> Any:
    """Return the dataset that OpenLineage's events of the operators name for an asset."""
    from openlineage.client.event_v2 import Dataset

    uri = urlsplit(asset.uri)
    workspace, *parts = (unquote(part) for part in uri.path.removeprefix("/").split("/"))
    name = "/".join([quote(workspace, safe=""), *(part_of_name(part) for part in parts)])
    return Dataset(namespace=f"{SCHEME}://{uri.netloc}", name=name)


def add_counts(outlets: Iterable[object], outlet_events: Any, report: Mapping[str, Any]) -> None:
    """
    Add the counts of a report to the events of the assets of MoEngage among a task's outlets.

    :param outlet_events: of the task's context.
    """
    counts = {name: value for name, value in report.items() if type(value) is int}
    for outlet in outlets:
        if isinstance(outlet, Asset) and outlet.uri.startswith(f"{SCHEME}://"):
            event = outlet_events[outlet]
            event.extra = {**event.extra, **counts}
