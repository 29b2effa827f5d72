"""The names of datasets: workspaces, as OpenLineage and assets name them, and files."""

from __future__ import annotations

import re
from collections.abc import Mapping
from urllib.parse import quote, urlsplit

from airflow_provider_moengage.api.workspace import Workspace
from airflow_provider_moengage.delivery.file_systems import LOCAL_SCHEMES

#: The schemes that OpenLineage gives another name.
SCHEMES: Mapping[str, str] = {"s3a": "s3", "s3n": "s3", "gcs": "gs"}
_GLOB = re.compile(r"[*?\[]")


def namespace_of(workspace: Workspace) -> str:
    """Return ``moengage://01``, or ``moengage://127.0.0.1:8095`` where the connection has a host of its own."""
    if workspace.host or workspace.data_center is None:
        return f"moengage://{urlsplit(workspace.base_url).netloc}"
    return f"moengage://{workspace.data_center}"


def name_in(workspace: Workspace, dataset: str) -> str:
    """Return the name of a dataset in its namespace, such as ``WORKSPACE/users``."""
    return f"{quote(workspace.app_id, safe='')}/{dataset}"


def part_of_name(text: str) -> str:
    """Return a text as one part of a dataset's name: what separates parts, or ends a URI, is percent-encoded."""
    return quote(text, safe=" ")


def files_of(url: str) -> tuple[str, str]:
    """
    Return namespace and name of a file, or of the folder that a glob is about; without credentials.

    :param url: as ``ObjectStoragePath`` accepts it; may contain the connection (``s3://conn_id@bucket/key``).
    """
    glob = _GLOB.search(url)
    if glob:
        url = url[: glob.start()].rpartition("/")[0] + "/"
    scheme, separator, rest = url.partition("://")
    if not separator:
        scheme, rest = "file", url.removeprefix("file:")
    authority, slash, path = rest.partition("/")
    scheme, path = SCHEMES.get(scheme, scheme), path.rstrip("/")
    if scheme in LOCAL_SCHEMES:
        return "file", f"{authority}{slash}{path}"
    # What stands before the bucket is the connection, or credentials.
    return f"{scheme}://{authority.rpartition('@')[2]}", path or "/"
