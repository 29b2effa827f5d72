"""Whether a connection that Airflow does not find is defined nowhere, or could not be looked up everywhere."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any


def failed_lookups(conn_id: str) -> Mapping[str, str]:
    """
    Return the secrets backends that fail when they are asked for a connection, each with the reason.

    Airflow raises ``AirflowNotFoundException`` in both cases: it treats a backend that fails as one that does not have
    the connection. Each backend is asked once more. What they answer is dropped, as it holds a password.

    :param conn_id: a connection that Airflow did not find.
    :return: the reason by the backend's class, such as ``{"VaultBackend": "ConnectionError"}``; empty where every
        backend answered.
    """
    failed = {}
    for backend in _backends():
        name = type(backend).__name__
        try:
            reason = _execution_api_error(conn_id) if name == "ExecutionAPISecretsBackend" else None
            if reason is None:
                backend.get_connection(conn_id=conn_id)
        except Exception as error:
            # The class alone: the text may quote a URI, password included.
            reason = type(error).__name__
        if reason is not None:
            failed[name] = reason
    return failed


def _backends() -> Sequence[Any]:
    try:
        from airflow.sdk.execution_time.supervisor import ensure_secrets_backend_loaded
    except ImportError:
        from airflow.configuration import ensure_secrets_loaded

        loaded: Sequence[Any] = ensure_secrets_loaded()
        return loaded
    loaded = ensure_secrets_backend_loaded()
    return loaded


def _execution_api_error(conn_id: str) -> str | None:
    """Return the error of Airflow's API server, where it is another one than "not found"; the backend hides it."""
    from airflow.sdk.exceptions import ErrorType
    from airflow.sdk.execution_time.comms import ErrorResponse, GetConnection
    from airflow.sdk.execution_time.task_runner import SUPERVISOR_COMMS

    answer = SUPERVISOR_COMMS.send(GetConnection(conn_id=conn_id))
    if isinstance(answer, ErrorResponse) and answer.error != ErrorType.CONNECTION_NOT_FOUND:
        return str(answer.error.value)
    return None
