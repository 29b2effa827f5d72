"""A client follows the response headers while Redis is away, and shares the window again once it is back."""

from __future__ import annotations

import logging

import pytest
import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from airflow_provider_moengage.api.rate_limit.headers import RateHeaders
from airflow_provider_moengage.api.rate_limit.redis_window import RedisWindow
from airflow_provider_moengage.api.rate_limit.window import Grant, Window
from tests.support.redis_server import RedisServer, running_redis

KEY = "moengage:W:host:users"


class Client:
    """Sends one unit in each of its windows, which last a minute of its own clock."""

    def __init__(self, server: RedisServer) -> None:
        self.now = 0.0
        connection = redis.Redis(server.host, server.port, retry=Retry(NoBackoff(), 0))
        self._window = Window(100, shared=RedisWindow(connection, KEY, "client"), clock=lambda: self.now)

    def send(self, windows: int = 1) -> None:
        for _ in range(windows):
            grant = self._window.try_acquire(1)
            assert isinstance(grant, Grant)
            headers = RateHeaders(limit=100, period=60.0, remaining=99, reset=60.0)
            self._window.settle(grant, headers, throttled=False)
            self.now += 61.0


def is_shared(server: RedisServer) -> bool:
    with redis.Redis(server.host, server.port) as client:
        return client.exists(KEY) == 1


def test_a_redis_that_comes_back_is_used_again(
    own_redis_server: RedisServer, caplog: pytest.LogCaptureFixture
):
    caplog.set_level(logging.INFO, "airflow_provider_moengage")
    client = Client(own_redis_server)
    client.send()
    assert is_shared(own_redis_server)
    own_redis_server.stop()
    client.send(4)
    (warning,) = caplog.messages
    assert "the rate headers alone are followed until it does" in warning
    with running_redis(own_redis_server.port) as successor:
        client.send(4)
        assert is_shared(successor)
    assert caplog.messages[1:] == ["Redis responds again: the rate window is shared"]


def test_a_redis_that_stays_away_is_tried_less_and_less_often(
    own_redis_server: RedisServer, monkeypatch: pytest.MonkeyPatch
):
    client = Client(own_redis_server)
    own_redis_server.stop()
    attempts: list[float] = []
    acquire = RedisWindow.acquire

    def counted(window: RedisWindow, *arguments: object, **known: object) -> object:
        attempts.append(client.now)
        return acquire(window, *arguments, **known)

    monkeypatch.setattr(RedisWindow, "acquire", counted)
    client.send(64)
    assert [at / 61.0 for at in attempts] == [0, 1, 3, 7, 15, 31, 47, 63]
