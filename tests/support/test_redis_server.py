"""The Redis server that other tests share windows through: it is real, keeps nothing, and can be stopped."""

from __future__ import annotations

from pathlib import Path

import pytest
import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from tests.support.redis_server import RedisServer, running_redis


def test_server_answers(redis_server: RedisServer) -> None:
    with redis.Redis(redis_server.host, redis_server.port) as client:
        assert int(client.info("server")["redis_version"].split(".")[0]) >= 5
        assert client.config_get("save", "appendonly") == {"save": "", "appendonly": "no"}


def test_one_that_is_stopped_is_gone_and_its_successor_is_empty(own_redis_server: RedisServer) -> None:
    with redis.Redis(own_redis_server.host, own_redis_server.port, retry=Retry(NoBackoff(), 0)) as client:
        client.set("key", "value")
        own_redis_server.stop()
        with pytest.raises(redis.ConnectionError):
            client.get("key")
        with running_redis(own_redis_server.port):
            assert client.get("key") is None


def test_it_runs_no_longer_than_its_block(redis_server: RedisServer) -> None:
    with running_redis() as server:
        folder = redis.Redis(server.host, server.port).config_get("dir")["dir"]
        assert server.port != redis_server.port
    assert server.process.returncode is not None
    assert not Path(folder).exists()


def test_a_server_that_cannot_start_says_why(redis_server: RedisServer) -> None:
    with pytest.raises(RuntimeError, match="Address already in use"), running_redis(redis_server.port):
        pass
