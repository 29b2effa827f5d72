"""A connection of type redis becomes rate windows that all tasks share."""

from __future__ import annotations

import json
import logging
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import redis

from airflow_provider_moengage.api.errors import MoEngageParameterError
from airflow_provider_moengage.api.rate_limit.redis_window import SharedWindowGone
from airflow_provider_moengage.get_provider_info import FORM_FIELDS
from airflow_provider_moengage.hooks.moengage import MoEngageHook
from airflow_provider_moengage.hooks.redis import REDIS_TIMEOUT
from tests.support.redis_server import RedisServer

MOENGAGE = {"conn_type": "moengage", "login": "WORKSPACE", "password": "SECRETKEY"}
Connect = Callable[..., MoEngageHook]


@pytest.fixture
def connect(monkeypatch: pytest.MonkeyPatch) -> Connect:
    """Return a hook whose connection names the Redis connection ``limits``, if there is one."""

    def hook(limits: dict[str, Any] | str | None = None, **extra: Any) -> MoEngageHook:
        extras = {"data_center": "01", "rate_limit_conn_id": "limits", **extra}
        monkeypatch.setenv("AIRFLOW_CONN_OTHER", json.dumps({**MOENGAGE, "extra": extras}))
        if limits is not None:
            text = limits if isinstance(limits, str) else json.dumps({"conn_type": "redis", **limits})
            monkeypatch.setenv("AIRFLOW_CONN_LIMITS", text)
        return MoEngageHook("other")

    return hook


def client_of(hook: MoEngageHook) -> redis.Redis:
    assert hook.shared_windows is not None
    return hook.shared_windows._redis


def settings_of(hook: MoEngageHook) -> dict[str, Any]:
    """What the client connects with; it does so at its first command only."""
    return client_of(hook).get_connection_kwargs()


def take(hook: MoEngageHook, units: int) -> int:
    assert hook.shared_windows is not None
    window = hook.shared_windows.window("users")
    return window.acquire(units, limit=100, period=60.0, ends=None, remaining=None).units


def test_two_hooks_draw_from_one_window(connect: Connect, redis_server: RedisServer):
    with redis.Redis(redis_server.host, redis_server.port, db=3) as client:
        client.flushdb()
        one, other = (connect({**redis_server.connection, "extra": {"db": 3}}) for _ in range(2))
        assert take(one, 70) == 70
        assert take(other, 70) == 30
        assert list(client.scan_iter()) == [b"moengage:WORKSPACE:api-01.moengage.com:users"]
        assert b"SECRETKEY" not in b"".join(client.hgetall("moengage:WORKSPACE:api-01.moengage.com:users"))


def test_closed_windows_open_again(connect: Connect, redis_server: RedisServer):
    hook = connect(redis_server.connection)
    client_of(hook).flushdb()
    take(hook, 1)
    hook.shared_windows.close()
    assert take(hook, 50) == 50


@pytest.mark.parametrize("value", ["", None])
def test_without_the_extra_nothing_is_shared(connect: Connect, value: str | None):
    assert connect(rate_limit_conn_id=value).shared_windows is None


def test_the_extra_is_known(connect: Connect, caplog: pytest.LogCaptureFixture, capfd):
    caplog.set_level(logging.INFO)
    connect({}).workspace  # noqa: B018
    assert "rate_limit_conn_id" in FORM_FIELDS
    assert "unknown" not in caplog.text + "".join(capfd.readouterr())


def test_the_fields_are_those_of_the_redis_provider(connect: Connect):
    found = settings_of(
        connect({"host": "redis.example.com", "port": 6380, "login": "airflow", "password": "P"})
    )
    assert (found["host"], found["port"], found["username"], found["password"], found["db"]) == (
        "redis.example.com", 6380, "airflow", "P", 0,
    )  # fmt: skip
    assert found["socket_timeout"] == found["socket_connect_timeout"] == REDIS_TIMEOUT


def test_a_uri_becomes_settings(connect: Connect):
    found = settings_of(connect("redis://:P@redis.example.com:6380/?db=2&ssl=true&ssl_cert_reqs=none"))
    assert (found["host"], found["port"], found["username"], found["password"], found["db"]) == (
        "redis.example.com", 6380, None, "P", 2,
    )  # fmt: skip
    assert found["ssl_cert_reqs"] == "none"


def test_what_is_left_out_is_the_default_of_redis(connect: Connect):
    found = settings_of(connect({}))
    assert (found["host"], found["port"], found["db"]) == ("localhost", 6379, 0)


@pytest.mark.parametrize("true", [True, "true"])
def test_fields_of_tls_reach_the_client(connect: Connect, true: object):
    texts = {
        "ssl_cert_reqs": "required", "ssl_ca_certs": "/ca.pem", "ssl_keyfile": "/key.pem", "ssl_certfile": "/c.pem"
    }  # fmt: skip
    hook = connect({"host": "h", "extra": {"ssl": true, "ssl_check_hostname": true, **texts, "other": 1}})
    assert client_of(hook).connection_pool.connection_class is redis.SSLConnection
    found = settings_of(hook)
    assert {name: found[name] for name in texts} == texts
    assert found["ssl_check_hostname"] is True
    assert "other" not in found


@pytest.mark.parametrize(
    ("extra", "named"),
    [
        ({"db": "first"}, "extra db is 'first'"),
        ({"db": True}, "extra db is True"),
        ({"db": -1}, "extra db is -1"),
        ({"ssl": "maybe"}, "extra ssl is 'maybe'"),
        ({"ssl_check_hostname": 2}, "extra ssl_check_hostname is 2"),
    ],
)
def test_extras_that_are_wrong_are_named(connect: Connect, extra: dict[str, Any], named: str):
    hook = connect({"extra": extra, "password": "REDISKEY"})
    with pytest.raises(MoEngageParameterError, match=named) as caught:
        hook.shared_windows  # noqa: B018
    assert "Connection 'other': Redis connection 'limits'" in str(caught.value)
    assert "REDISKEY" not in str(caught.value)


def test_a_connection_of_another_type_is_named(connect: Connect):
    hook = connect({"conn_type": "postgres"})
    with pytest.raises(
        MoEngageParameterError, match=r"'limits', which is of type 'postgres'; name one of type redis"
    ):
        hook.shared_windows  # noqa: B018


def test_without_the_package_the_extra_is_named(connect: Connect, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "redis", None)
    with pytest.raises(MoEngageParameterError, match=r"pip install 'airflow-provider-moengage\[redis\]'"):
        connect({}).shared_windows  # noqa: B018


def test_a_server_that_is_gone_or_wants_a_password_is_said(connect: Connect, own_redis_server: RedisServer):
    hook = connect(own_redis_server.connection)
    assert take(hook, 1) == 1
    with redis.Redis(own_redis_server.host, own_redis_server.port) as client:
        client.config_set("requirepass", "REDISKEY")
    with pytest.raises(SharedWindowGone, match=r"(?i)auth"):
        take(connect(own_redis_server.connection), 1)
    own_redis_server.stop()
    with pytest.raises(SharedWindowGone, match="ConnectionError"):
        take(hook, 1)


def test_a_connection_that_was_closed_for_idleness_is_made_again(
    connect: Connect, own_redis_server: RedisServer
):
    hook = connect(own_redis_server.connection)
    take(hook, 1)
    with redis.Redis(own_redis_server.host, own_redis_server.port) as client:
        assert client.client_kill_filter(_type="normal", skipme=True) == 1
    assert take(hook, 50) == 50


def test_a_user_needs_only_the_commands_that_the_documentation_names(
    connect: Connect, own_redis_server: RedisServer
):
    """None of them is HELLO, which Redis 5 does not know."""
    sentence = " ".join((Path(__file__).parents[2] / "docs" / "connection.md").read_text().split())
    found = re.search(r"The user needs (.*?) on keys that begin with `(.*?)`, and `(SELECT)`", sentence)
    assert found
    commands = [command.replace(" ", "|").lower() for command in (*re.findall("`(.*?)`", found[1]), found[3])]
    with redis.Redis(own_redis_server.host, own_redis_server.port) as client:
        rules = [f"+{command}" for command in commands]
        client.execute_command("ACL", "SETUSER", "airflow", "on", ">REDISKEY", f"~{found[2]}*", *rules)
    fields = {**own_redis_server.connection, "login": "airflow", "password": "REDISKEY", "extra": {"db": 1}}
    one, other = connect(fields), connect(fields)
    assert (take(one, 70), take(other, 70)) == (70, 30)
    one.shared_windows.window("users").return_units(10)
    # Dealing a window out reads all its clients and deletes those that are gone.
    with redis.Redis(own_redis_server.host, own_redis_server.port, db=1) as client:
        client.hset("moengage:WORKSPACE:api-01.moengage.com:users", "ends", 1)
        client.hset("moengage:WORKSPACE:api-01.moengage.com:users", "c:gone", "1 1 0")
    assert take(one, 10) == 10
