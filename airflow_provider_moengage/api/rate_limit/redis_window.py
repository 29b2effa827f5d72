"""
One rate window for all tasks of all workers, kept in Redis.

MoEngage counts units per workspace, not per process. A task acquires units here before it sends, and shares what
MoEngage's responses said of the window, so that all tasks know as much as the best informed one. The only clock is that
of Redis. Redis 5 or newer (or Valkey) is required: from there on, a script that reads the time and then writes is
replicated by its effects.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, field
from math import ceil, floor
from typing import TYPE_CHECKING, Any

from airflow_provider_moengage.api.errors import MAX_TEXT, MoEngageError

if TYPE_CHECKING:
    from redis import Redis

# One hash per window, times in milliseconds of the server's clock: began, ends, used; guess, while no response has
# published that end; and the period and limit last given by a caller that had them from a response.
SCRIPT = """
local wanted, limit, period = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local earliest, latest, remaining = tonumber(ARGV[4]), tonumber(ARGV[5]), tonumber(ARGV[6])
local state = redis.call('HMGET', KEYS[1], 'began', 'ends', 'used', 'period', 'limit', 'guess')
local began, ends, used = tonumber(state[1]), tonumber(state[2]), tonumber(state[3])
local known_period, known_limit, guess = tonumber(state[4]), tonumber(state[5]), state[6] == '1'
-- What the caller guesses changes no end that is known.
local guessed = ARGV[8] == '1'
local counts = guess or not guessed

if wanted < 0 then
  -- Return unused units, if their window is still the current one.
  if began and began == tonumber(ARGV[7]) then
    redis.call('HSET', KEYS[1], 'used', math.max(0, used + wanted))
  end
  return {0, 0, 0}
end

local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local allowed, wait_until = wanted, nil

if not latest or latest <= 0 then
  -- The caller knows nothing of the current window: limits learned by others beat configured ones.
  period = known_period or period
  limit = math.min(limit, known_limit or limit)
  if not latest and remaining then allowed = math.min(wanted, remaining) end
else
  earliest, latest = now + earliest, now + latest
  if ends and known_period and latest <= ends - period / 2 then
    -- The caller's window is the previous one, which says nothing of this one. If that window has certainly not
    -- ended, MoEngage accepts no more than its remaining units.
    if remaining and earliest > now then allowed, wait_until = math.min(wanted, remaining), latest end
  else
    local later = ends and earliest >= ends + period / 2
    if not ends or (not known_period and now >= ends) or (counts and later and now >= ends - period / 8) then
      -- The next window has begun: at MoEngage a little earlier than here.
      began, ends, used, guess = now, latest, 0, guessed
    elseif counts and (not known_period or (guess and not guessed) or earliest > ends) then
      -- The same window: its end was a guess, which is too early if MoEngage began it with the first unit it got, or
      -- MoEngage began it after a pause.
      ends, guess = latest, guessed
    elseif counts then
      ends = math.min(latest, ends)
    end
    if remaining then used = math.max(used, limit - remaining) end
    redis.call('HSET', KEYS[1], 'period', period, 'limit', limit)
    known_period = period
  end
end

if not ends or now >= ends then
  -- MoEngage's next window may begin with its first unit, or follow without a gap. An end up to half a period too
  -- late is corrected by the next response; one that is too early would cause a 429.
  local gap = ends and known_period and (now - ends) % period or 0
  began, ends, used, guess = now, now + period - (gap >= period / 2 and gap or 0), 0, true
end

local granted = math.max(0, math.min(allowed, limit - used))
redis.call('HSET', KEYS[1], 'began', began, 'ends', ends, 'used', used + granted, 'guess', guess and '1' or '')
redis.call('PEXPIRE', KEYS[1], 3 * period)
return {granted, granted > 0 and 0 or (wait_until or ends) - now, began}
"""


class SharedWindowGone(MoEngageError):
    """Redis did not respond, or not as expected; no units were acquired, as far as is known."""


@dataclass(frozen=True)
class RedisGrant:
    """
    Units granted by the window in Redis.

    :param units: 0 up to the units requested.
    :param wait: seconds until the window resets; 0.0 if units were granted.
    :param fresh: whether this is the first grant of its window: units acquired earlier belong to one that is over.
    """

    units: int
    wait: float
    fresh: bool = field(default=False, compare=False)


class RedisWindow:
    """
    The window of one quota of one workspace, shared by all tasks of all workers; thread-safe.

    :param redis: a client that is not shared with a pipeline.
    :param key: the key of the window's hash.
    """

    def __init__(self, redis: Redis, key: str) -> None:
        self._script = redis.register_script(SCRIPT)
        self._key = key
        self._began = 0

    def acquire(
        self,
        units: int,
        *,
        limit: int,
        period: float,
        ends: tuple[float, float] | None,
        remaining: int | None,
        guessed: bool = False,
    ) -> RedisGrant:
        """
        Acquire units of the current window, and share what the caller knows of it.

        :param units: the maximum to acquire.
        :param limit: units per window that all tasks together may use, as far as the caller knows.
        :param period: length of the window, in seconds.
        :param ends: the earliest and the latest time at which the caller's window ends, in seconds from now;
            None: unknown. The end of a window before the shared one is ignored.
        :param guessed: whether that is a guess, because no response of that window has published it yet.
        :param remaining: the fewest units that MoEngage reported as left in that window; None: unknown.
        :raises SharedWindowGone: Redis did not respond.
        """
        earliest, latest = ("", "") if ends is None else (floor(ends[0] * 1000), ceil(ends[1] * 1000))
        left = "" if remaining is None else remaining
        granted, wait, began = self._run(
            units, limit, round(period * 1000), earliest, latest, left, "", "1" if guessed else ""
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
            with suppress(SharedWindowGone):
                self._run(-units, 0, 0, "", "", "", self._began, "")

    def _run(self, *arguments: int | str) -> tuple[int, int, int]:
        # Imported here: without a shared window the package is not needed.
        from redis import RedisError

        try:
            response: Any = self._script(keys=[self._key], args=arguments)
        except (RedisError, OSError) as error:
            cause = f"{type(error).__name__}: {error}"[:MAX_TEXT]
            raise SharedWindowGone(
                f"Redis, which keeps the shared rate window, did not respond ({cause})"
            ) from error
        granted, wait, began = response
        return granted, wait, began


class RedisWindows:
    """
    The windows of one workspace.

    :param redis: the client; :meth:`close` closes it.
    :param workspace_key: identifies the workspace; not a secret, since it can be read in Redis.
    """

    def __init__(self, redis: Redis, workspace_key: str) -> None:
        self._redis = redis
        self._workspace_key = workspace_key

    def window(self, quota: str) -> RedisWindow:
        """Return the window of a quota, without a request to Redis."""
        return RedisWindow(self._redis, f"moengage:{self._workspace_key}:{quota}")

    def close(self) -> None:
        """Close the connections to Redis."""
        self._redis.close()
