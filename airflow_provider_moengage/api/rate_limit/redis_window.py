"""
One rate window for all tasks of all workers, kept in Redis.

MoEngage counts units per workspace, not per process. A task acquires units here before it sends, and shares what
MoEngage's responses said of the window, so that all tasks know as much as the best informed one. The only clock is that
of Redis. Redis 5 or newer (or Valkey) is required: from there on, a script that reads the time and then writes is
replicated by its effects.
"""

from __future__ import annotations

import uuid
from contextlib import suppress
from dataclasses import dataclass, field
from math import ceil, floor
from typing import TYPE_CHECKING, Any

from airflow_provider_moengage.api.errors import MAX_TEXT, MoEngageError
from airflow_provider_moengage.api.rate_limit import redis_scripts

if TYPE_CHECKING:
    from redis import Redis
    from redis.commands.core import Script


class SharedWindowGone(MoEngageError):
    """Redis did not respond, or not as expected; no units were acquired, as far as is known."""


@dataclass(frozen=True)
class RedisGrant:
    """
    Units granted by the window in Redis.

    :param units: 0 up to the units requested.
    :param wait: seconds until the window resets, or until units may be free that are held for other clients; 0.0 if
        units were granted.
    :param fresh: whether this is the first grant of its window: units acquired earlier belong to one that is over.
    """

    units: int
    wait: float
    fresh: bool = field(default=False, compare=False)


class RedisWindow:
    """
    The window of one quota of one workspace, shared by all tasks of all workers; thread-safe.

    All clients of the window that want units get equal parts of it.

    :param redis: a client that is not shared with a pipeline.
    :param key: the key of the window's hash.
    :param client: the id of this client of the window.
    """

    def __init__(self, redis: Redis, key: str, client: str) -> None:
        self._acquire = redis.register_script(redis_scripts.ACQUIRE)
        self._return = redis.register_script(redis_scripts.RETURN)
        self._key = key
        self._client = client
        self._began = 0
        self._asked = False

    def acquire(
        self,
        units: int,
        *,
        limit: int,
        period: float,
        ends: tuple[float, float] | None,
        remaining: int | None,
        guessed: bool = False,
        minimum: int = 1,
    ) -> RedisGrant:
        """
        Acquire units of the current window, and share what the caller knows of it.

        :param units: the maximum to acquire.
        :param minimum: the fewest that are of use; a whole window's, if it has fewer.
        :param limit: units per window that all tasks together may use, as far as the caller knows.
        :param period: length of the window, in seconds.
        :param ends: the earliest and the latest time at which the caller's window ends, in seconds from now;
            None: unknown. The end of a window before the shared one is ignored.
        :param guessed: whether that is a guess, because no response of that window has published it yet.
        :param remaining: the fewest units that MoEngage reported as left in that window; None: unknown.
        :raises SharedWindowGone: Redis did not respond.
        """
        earliest, latest = ("", "") if ends is None else (floor(ends[0] * 1000), ceil(ends[1] * 1000))
        self._asked = True
        left = "" if remaining is None else remaining
        arguments = (units, limit, round(period * 1000), earliest, latest, left)
        granted, wait, began = self._run(
            self._acquire, *arguments, "1" if guessed else "", self._client, minimum
        )
        fresh = granted > 0 and began != self._began
        if fresh:
            self._began = began
        return RedisGrant(granted, wait / 1000, fresh)

    def return_units(self, units: int) -> None:
        """
        Return units that were acquired last and not used, if their window is still the current one.

        A failure is not an error: the units are lost for this window only.
        """
        if units > 0:
            self._hand_back(units)

    def leave(self, units: int) -> None:
        """Return units as :meth:`return_units` does, and leave the rest of this client's part to the others."""
        if self._asked:
            self._hand_back(units, "1")

    def stay(self, units: int) -> None:
        """Return units as :meth:`return_units` does, and keep this client's part of the next window."""
        self.return_units(units)
        self._asked = False

    def _hand_back(self, units: int, leaves: str = "") -> None:
        with suppress(SharedWindowGone):
            self._run(self._return, units, self._began, self._client, leaves)

    def _run(self, script: Script, *arguments: int | str) -> Any:
        # Imported here: without a shared window the package is not needed.
        from redis import RedisError

        try:
            return script(keys=[self._key], args=arguments)
        except (RedisError, OSError) as error:
            cause = f"{type(error).__name__}: {error}"[:MAX_TEXT]
            raise SharedWindowGone(
                f"Redis, which keeps the shared rate window, did not respond ({cause})"
            ) from error


class RedisWindows:
    """
    The windows of one workspace.

    :param redis: the client; :meth:`close` closes it.
    :param workspace_key: identifies the workspace; not a secret, since it can be read in Redis.
    :ivar client: the id of this client of the windows.
    """

    def __init__(self, redis: Redis, workspace_key: str) -> None:
        self._redis = redis
        self._workspace_key = workspace_key
        self.client = uuid.uuid4().hex[:16]

    def window(self, quota: str) -> RedisWindow:
        """Return the window of a quota, without a request to Redis."""
        return RedisWindow(self._redis, f"moengage:{self._workspace_key}:{quota}", self.client)

    def close(self) -> None:
        """Close the connections to Redis."""
        self._redis.close()
