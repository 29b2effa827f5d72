"""
One rate window for all tasks of all workers, kept in Redis.

MoEngage counts a workspace's units and not a process's. Whoever wants to send takes units here first, and tells
what MoEngage's answers told it; so all know the window as well as the one that knows it best. The only clock is
that of Redis. It needs Redis 5 or newer (or Valkey): a script that asks for the time and then writes is replicated by
its effects from there on.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, field
from math import ceil, floor
from typing import TYPE_CHECKING, Any

from airflow_provider_moengage.api.errors import MAX_TEXT, MoEngageError

if TYPE_CHECKING:
    from redis import Redis

# One hash a window, times in milliseconds of the server's clock: began, ends, used; and period and limit as the last
# caller gave them that knew the window from an answer.
SCRIPT = """
local wanted, limit, period = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local earliest, latest, remaining = tonumber(ARGV[4]), tonumber(ARGV[5]), tonumber(ARGV[6])
local state = redis.call('HMGET', KEYS[1], 'began', 'ends', 'used', 'period', 'limit')
local began, ends, used = tonumber(state[1]), tonumber(state[2]), tonumber(state[3])
local told_period, told_limit = tonumber(state[4]), tonumber(state[5])

if wanted < 0 then
  -- Units that were not used, if they are of the window that still is.
  if began and began == tonumber(ARGV[7]) then
    redis.call('HSET', KEYS[1], 'used', math.max(0, used + wanted))
  end
  return {0, 0, 0}
end

local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local allowed, wait_until = wanted, nil

if not latest or latest <= 0 then
  -- Nothing is known of the current window: what others were told is better than configuration.
  period = told_period or period
  limit = math.min(limit, told_limit or limit)
  if not latest and remaining then allowed = math.min(wanted, remaining) end
else
  earliest, latest = now + earliest, now + latest
  if ends and told_period and latest <= ends - period / 2 then
    -- Still in the window before this one: it tells nothing of this one. If it is sure that the old window is
    -- not over, then no more than what that has left would pass.
    if remaining and earliest > now then allowed, wait_until = math.min(wanted, remaining), latest end
  else
    local later = ends and earliest >= ends + period / 2
    if not ends or (not told_period and now >= ends) or (later and now >= ends - period / 8) then
      -- The next window has begun, at MoEngage a little before it did here.
      began, ends, used = now, latest, 0
    elseif not told_period or earliest > ends then
      -- The end was a guess, or MoEngage's window began with its first unit, after a pause: it is the same window.
      ends = latest
    else
      ends = math.min(latest, ends)
    end
    if remaining then used = math.max(used, limit - remaining) end
    redis.call('HSET', KEYS[1], 'period', period, 'limit', limit)
    told_period = period
  end
end

if not ends or now >= ends then
  -- MoEngage's next window may begin with its first unit, or follow without a gap. An end that is less than half a
  -- period too late is clamped by the next answer; one that is too early would be answered 429.
  local gap = ends and told_period and (now - ends) % period or 0
  began, ends, used = now, now + period - (gap >= period / 2 and gap or 0), 0
end

local granted = math.max(0, math.min(allowed, limit - used))
redis.call('HSET', KEYS[1], 'began', began, 'ends', ends, 'used', used + granted)
redis.call('PEXPIRE', KEYS[1], 3 * period)
return {granted, granted > 0 and 0 or (wait_until or ends) - now, began}
"""


class SharedWindowGone(MoEngageError):
    """Redis did not answer, or not with what was asked for; nothing was taken, as far as is known."""


@dataclass(frozen=True)
class Taken:
    """
    Units that may be sent now.

    :param units: 0 up to what was asked for.
    :param wait: seconds until the shared window resets; 0.0 where units were granted.
    :param fresh: they are the first ones of their window: what was taken before is of one that is over.
    """

    units: int
    wait: float
    fresh: bool = field(default=False, compare=False)


class RedisWindow:
    """
    One quota of one workspace, as all tasks of all workers draw from it; usable from many threads at once.

    :param redis: a client that is not shared with a pipeline.
    :param key: where the window is kept.
    """

    def __init__(self, redis: Redis, key: str) -> None:
        self._script = redis.register_script(SCRIPT)
        self._key = key
        self._began = 0

    def take(
        self,
        units: int,
        *,
        limit: int,
        period: float,
        ends: tuple[float, float] | None,
        remaining: int | None,
    ) -> Taken:
        """
        Take up to so many units from the current window, and tell what is known of it.

        :param units: wanted, at most.
        :param limit: units a window that the tasks may use together, by what the caller knows.
        :param period: seconds a window.
        :param ends: the earliest and the latest moment at which the caller's window ends, in seconds from now;
            None: nothing is known. That of a window before the shared one changes nothing.
        :param remaining: units that MoEngage said were left in that window, the smallest seen; None: unknown.
        :raises SharedWindowGone: Redis did not answer.
        """
        earliest, latest = ("", "") if ends is None else (floor(ends[0] * 1000), ceil(ends[1] * 1000))
        granted, wait, began = self._run(
            units, limit, round(period * 1000), earliest, latest, "" if remaining is None else remaining, ""
        )
        fresh = granted > 0 and began != self._began
        if fresh:
            self._began = began
        return Taken(granted, wait / 1000, fresh)

    def give_back(self, units: int) -> None:
        """
        Give back units that were taken last and not used, if their window is still the current one.

        That they cannot be given back is no error: they are lost to this window only.
        """
        if units > 0:
            with suppress(SharedWindowGone):
                self._run(-units, 0, 0, "", "", "", self._began)

    def _run(self, *arguments: int | str) -> tuple[int, int, int]:
        # Imported at use: whoever shares no window does not need the package.
        from redis import RedisError

        try:
            answer: Any = self._script(keys=[self._key], args=arguments)
        except (RedisError, OSError) as error:
            said = f"{type(error).__name__}: {error}"[:MAX_TEXT]
            raise SharedWindowGone(
                f"Redis, which keeps the shared rate window, gave no answer ({said})"
            ) from error
        granted, wait, began = answer
        return granted, wait, began


class RedisWindows:
    """
    The windows of one workspace.

    :param redis: the client; it is closed with this.
    :param workspace_key: what tells the workspace from others; no secret, as it can be read in Redis.
    """

    def __init__(self, redis: Redis, workspace_key: str) -> None:
        self._redis = redis
        self._workspace_key = workspace_key

    def window(self, quota: str) -> RedisWindow:
        """Give the window of a quota; nothing is asked of Redis yet."""
        return RedisWindow(self._redis, f"moengage:{self._workspace_key}:{quota}")

    def close(self) -> None:
        """Close the connections to Redis."""
        self._redis.close()
