"""Builds the rate windows that all tasks of all workers share from an Airflow connection of type ``redis``."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

from airflow_provider_moengage.api.errors import MoEngageParameterError
from airflow_provider_moengage.api.rate_limit.redis_window import RedisWindows
from airflow_provider_moengage.api.workspace import Workspace
from airflow_provider_moengage.hooks.connection import ConnectionFields, as_boolean, read_connection

DEFAULT_PORT = 6379
#: Seconds to wait for Redis, which responds within milliseconds; after that the task continues without it.
REDIS_TIMEOUT = 1.0
# The extras that Airflow's Redis provider reads.
SSL_SWITCHES = ("ssl", "ssl_check_hostname")
SSL_TEXTS = ("ssl_cert_reqs", "ssl_ca_certs", "ssl_keyfile", "ssl_certfile")


def shared_windows(conn_id: str | None, workspace: Workspace, log: Any) -> RedisWindows | None:
    """
    Return the windows of a workspace that are held in Redis, without a request to Redis.

    :param conn_id: a connection of type ``redis``; None: the windows are not shared.
    :raises MoEngageParameterError: there is no such connection, it is of another type, a field of it is not allowed,
        or the package ``redis`` is not installed.
    """
    if conn_id is None:
        return None
    fields = read_connection("extra rate_limit_conn_id", conn_id, "redis")
    try:
        settings = _client_settings(fields)
    except MoEngageParameterError as error:
        raise MoEngageParameterError(f"Redis connection {conn_id!r}: {error}") from error
    try:
        from redis import ConnectionError as RedisConnectionError
        from redis import Redis
        from redis.backoff import NoBackoff
        from redis.retry import Retry
    except ImportError:
        raise MoEngageParameterError(
            "the connection's rate_limit_conn_id needs the redis package: "
            "pip install 'airflow-provider-moengage[redis]'"
        ) from None
    # One immediate retry repairs a connection that was closed as idle; without backoff an unreachable server does not
    # delay the task.
    retry = Retry(NoBackoff(), 1, supported_errors=(RedisConnectionError,))
    # The default of newer clients, protocol 3, begins with HELLO, which Redis 5 does not know.
    client = Redis(
        **settings,
        protocol=2,
        socket_timeout=REDIS_TIMEOUT,
        socket_connect_timeout=REDIS_TIMEOUT,
        retry=retry,
    )
    log.debug("Rate windows are shared through the Redis connection %r", conn_id)
    return RedisWindows(client, f"{workspace.app_id}:{urlsplit(workspace.base_url).netloc}")


def _client_settings(fields: ConnectionFields) -> dict[str, Any]:
    extras = fields.extras
    settings: dict[str, Any] = {
        "host": fields.host or "localhost",
        "port": fields.port or DEFAULT_PORT,
        "username": fields.login or None,
        "password": fields.password or None,
        "db": _as_database(extras.get("db", 0)),
    }
    settings |= {name: as_boolean(name, extras[name]) for name in SSL_SWITCHES if name in extras}
    settings |= {name: str(extras[name]) for name in SSL_TEXTS if name in extras}
    return settings


def _as_database(value: object) -> int:
    if isinstance(value, bool) or not str(value).isdecimal():
        raise MoEngageParameterError(f"extra db is {value!r}; use the number of a database")
    return int(str(value))
