"""Airflow's connections, by the parameter that names them."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from airflow_provider_moengage.api.errors import MoEngageParameterError, MoEngageRetryableError


def connection_of(parameter: str, conn_id: str) -> Any:
    """
    Return an Airflow connection.

    :param parameter: the parameter that names it, for the errors.
    :raises MoEngageParameterError: there is no such connection.
    :raises MoEngageRetryableError: a secrets backend does not answer, so that nobody knows whether there is one.
    """
    from airflow_provider_moengage._compat import AirflowNotFoundException, BaseHook

    with suppress(AirflowNotFoundException):
        return BaseHook.get_connection(conn_id)
    found = _asked_again(parameter, conn_id)
    if found is None:
        raise MoEngageParameterError(
            f"{parameter} names the connection {conn_id!r}, which does not exist; create it, or correct its id"
        )
    return found


def database_hook(parameter: str, conn_id: str, hook_params: Mapping[str, Any] | None = None) -> Any:
    """
    Return the ``DbApiHook`` of a connection.

    :param parameter: the parameter that names the connection, for the errors.
    :raises MoEngageParameterError: there is no such connection, or it is no database's.
    :raises MoEngageRetryableError: as :func:`connection_of` raises it.
    """
    from airflow_provider_moengage._compat import AirflowException

    connection = connection_of(parameter, conn_id)
    try:
        hook = connection.get_hook(hook_params=dict(hook_params or {}))
    except (AirflowException, ImportError) as error:
        raise MoEngageParameterError(
            f"{parameter} names the connection {conn_id!r} of type {connection.conn_type!r}, which has no hook here: install "
            f"its provider on the workers, or correct the type ({error})"
        ) from None
    if not hasattr(hook, "get_conn") or not hasattr(hook, "get_sqlalchemy_engine"):
        raise MoEngageParameterError(
            f"{parameter} names the connection {conn_id!r} of type {connection.conn_type!r}, which is no database's; use one "
            "whose hook is a DbApiHook"
        )
    return hook


def _asked_again(parameter: str, conn_id: str) -> Any | None:
    """Ask each secrets backend: of one that fails, Airflow only says that it does not have the connection."""
    for backend in _secrets_backends():
        try:
            found = backend.get_connection(conn_id=conn_id)
        except Exception as error:
            # Backends have no class of errors in common, and their words may hold a secret.
            raise MoEngageRetryableError(
                f"{parameter} names the connection {conn_id!r}, which could not be looked up: the secrets backend "
                f"{type(backend).__name__} failed ({type(error).__name__})"
            ) from error
        if found is not None:
            return found
    return None


def _secrets_backends() -> list[Any]:
    try:
        from airflow.sdk.execution_time.supervisor import ensure_secrets_backend_loaded
    except ImportError:
        from airflow.configuration import ensure_secrets_loaded as ensure_secrets_backend_loaded
    backends: list[Any] = ensure_secrets_backend_loaded()
    return backends
