"""Resolves the URL of files: its file system and its connection."""

from __future__ import annotations

from types import MappingProxyType
from typing import Any
from urllib.parse import urlsplit

from airflow_provider_moengage.api.errors import MoEngageParameterError
from airflow_provider_moengage.delivery.connections import connection_of
from airflow_provider_moengage.delivery.shape.not_rows import of_empty_text

LOCAL_SCHEMES = frozenset({"", "file", "local"})
#: Packages that provide the file system of a scheme.
_AMAZON = "apache-airflow-providers-amazon[s3fs]"
_GOOGLE = "apache-airflow-providers-google"
_AZURE = "apache-airflow-providers-microsoft-azure"
PACKAGES = MappingProxyType(
    {
        "s3": _AMAZON,
        "s3a": _AMAZON,
        "s3n": _AMAZON,
        "gs": _GOOGLE,
        "gcs": _GOOGLE,
        "abfs": _AZURE,
        "abfss": _AZURE,
        "adl": _AZURE,
        "az": _AZURE,
    }
)


def storage_path(url: str, parameter: str) -> Any:
    """
    Return a path, after checking that its file system is installed; no request is sent to it.

    :param url: as ``ObjectStoragePath`` accepts it; may contain the connection (``s3://conn_id@bucket/key``).
    :param parameter: the parameter that names it, for the errors.
    :raises MoEngageParameterError: it is empty, no file system is installed for its scheme, or its connection does not exist.
    :raises MoEngageConnectionUnavailable: a secrets backend failed.
    """
    from airflow_provider_moengage._compat import object_storage_path

    problem = of_empty_text(parameter, url)
    if problem is not None:
        raise MoEngageParameterError(problem)
    parts = urlsplit(url)
    if parts.scheme in LOCAL_SCHEMES:
        return object_storage_path(url)
    if not _has_file_system(parts.scheme):
        raise _not_installed(url, parameter, parts.scheme)
    conn_id = parts.netloc.rpartition("@")[0]
    if conn_id:
        # Without it, the file systems of some providers silently use default credentials.
        connection_of(parameter, conn_id)
    try:
        path = object_storage_path(url)
        # Imports the file system's client library.
        path.fs  # noqa: B018
    except ImportError:
        raise _not_installed(url, parameter, parts.scheme) from None
    return path


def _has_file_system(scheme: str) -> bool:
    try:
        from airflow.sdk.io import has_fs
    except ImportError:
        from airflow.io import has_fs  # type: ignore[no-redef]
    return bool(has_fs(scheme))


def _not_installed(url: str, parameter: str, scheme: str) -> MoEngageParameterError:
    package = PACKAGES.get(scheme)
    return MoEngageParameterError(
        f"{parameter} {url!r} needs a file system for {scheme}://, which is not installed; "
        + (
            f"install {package} on the workers"
            if package
            else f"install the fsspec package for {scheme!r} and the Airflow provider that registers it, or correct the URL"
        )
    )
