"""
The scripts that Redis runs for a shared rate window; they use commands and Lua of Redis 5 only.

A window is one hash. Times are milliseconds of the server's clock:

- ``began``, ``ends``, ``used``; ``guess`` while no response has published that end;
- ``period`` and ``limit``, last given by a caller that had them from a response;
- ``clients``, ``waiting``: how many there are, and how many of them have wanted more than they got in this window;
- ``dealt``: ``began`` of the window whose units were dealt out;
- ``c:ID``: of a client, the window in which it last asked, what is left of its share (negative: what it had beyond it),
  and whether it is one of ``waiting``;
- ``owed``, ``ahead``: the sums of what is left of shares, and of what clients had beyond theirs.

Every client that asked in a window is owed an equal share of the next one, whoever asks first. What is held for the
others becomes free to all in the first half of the window, so that no unit is lost to a client that is slow or dead.
"""

from __future__ import annotations

#: Grants units; returns how many, the milliseconds to wait if none, and the start of the window.
ACQUIRE = """
local wanted, limit, period = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local earliest, latest, remaining = tonumber(ARGV[4]), tonumber(ARGV[5]), tonumber(ARGV[6])
-- What the caller guesses changes no end that is known.
local guessed, client, needed = ARGV[7] == '1', 'c:' .. ARGV[8], tonumber(ARGV[9])
local state = redis.call(
  'HMGET', KEYS[1], 'began', 'ends', 'used', 'period', 'limit', 'guess', 'clients', 'waiting', 'dealt', 'owed', 'ahead',
  client
)
local began, ends, used = tonumber(state[1]), tonumber(state[2]), tonumber(state[3])
local known_period, known_limit, guess = tonumber(state[4]), tonumber(state[5]), state[6] == '1'
local clients, waiting = tonumber(state[7]) or 0, tonumber(state[8]) or 0
local dealt, owed, own = tonumber(state[9]), tonumber(state[10]) or 0, state[12]
local ahead = tonumber(state[11]) or 0
local counts = guess or not guessed

local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local allowed, wait_until = wanted, nil

if not latest or latest <= 0 then
  -- The caller knows nothing of the current window: limits learned by others beat configured ones.
  period = known_period or period
  limit = known_limit or limit
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

local function read(text)
  local asked, credit, waits = string.match(text, '^(%S+) (%S+) (%S+)$')
  return tonumber(asked), tonumber(credit), waits == '1'
end

local function write(field, asked, credit, waits)
  redis.call('HSET', KEYS[1], field, string.format('%d %.6f %d', asked, credit, waits and 1 or 0))
end

if dealt ~= began then
  -- Deal the window out to those who asked in the last one, and forget the others.
  local fields, present = redis.call('HGETALL', KEYS[1]), {}
  for number = 1, #fields, 2 do
    if string.sub(fields[number], 1, 2) == 'c:' then
      if read(fields[number + 1]) == dealt then
        present[#present + 1] = number
      else
        redis.call('HDEL', KEYS[1], fields[number])
        if fields[number] == client then own = false end
      end
    end
  end
  clients, waiting, owed, ahead = #present, 0, 0, 0
  local share = (limit - used) / math.max(1, clients + (own and 0 or 1))
  -- One that waited in vain is owed what it did not get, and one that had more is owed less: a share at most, or a
  -- request that costs more than one.
  local bound, carried, sum = math.max(share, math.min(needed, limit)), {}, 0
  for place, number in ipairs(present) do
    local _, credit, waits = read(fields[number + 1])
    carried[place] = math.max(-bound, math.min(credit, waits and bound or 0))
    sum = sum + carried[place]
  end
  for place, number in ipairs(present) do
    -- Together they are owed what the window holds, and no more.
    local credit = share + carried[place] - sum / clients
    owed, ahead = owed + math.max(0, credit), ahead + math.max(0, -credit)
    write(fields[number], dealt, credit, false)
    if fields[number] == client then own = string.format('%d %.6f 0', dealt, credit) end
  end
end

local _, credit, waits
if own then
  _, credit, waits = read(own)
else
  clients = clients + 1
  credit, waits = limit / clients, false
  owed = owed + credit
end

local left = limit - used
needed = math.min(needed, limit)
-- What others are owed is held for them until half a period before the end, less and less of it.
local held = math.max(0, math.min(1, 2 * (ends - now) / period - 1))
local free = math.max(0, left - owed * held)
-- What is free rises like water: a client that has had more than its share gets some once those with less have as much.
local hungry = math.max(1, waiting + (waits and 0 or 1), clients * held)
local due = credit + (free + ahead) / hungry
local most = math.min(allowed, left, math.max(0, credit) + free, due > 0 and math.max(due, needed) or 0)
local granted = math.max(0, math.floor(most + 0.001))
if granted < needed then granted = 0 end

local wait = 0
if granted == 0 then
  if wanted > 0 and not wait_until and (left >= needed or not known_period) then
    -- Units are held for others, or the end of the window may turn out to be much earlier. The more clients wait, the
    -- more seldom each asks.
    wait_until = math.min(ends, now + period / 20 * math.min(1, hungry / 20))
  end
  wait = math.max(1, math.ceil((wait_until or ends) - now))
  if wanted > 0 and not waits then waiting, waits = waiting + 1, true end
end

owed = owed + math.max(0, credit - granted) - math.max(0, credit)
ahead = ahead + math.max(0, granted - credit) - math.max(0, -credit)
write(client, began, credit - granted, waits)
redis.call(
  'HSET', KEYS[1], 'began', began, 'ends', ends, 'used', used + granted, 'guess', guess and '1' or '',
  'clients', clients, 'waiting', waiting, 'dealt', began,
  'owed', string.format('%.6f', owed), 'ahead', string.format('%.6f', ahead)
)
redis.call('PEXPIRE', KEYS[1], 3 * period)
return {granted, wait, began}
"""

#: Returns unused units, if their window is still the current one; a client that leaves is owed nothing.
RETURN = """
local units, began, client, leaves = tonumber(ARGV[1]), tonumber(ARGV[2]), 'c:' .. ARGV[3], ARGV[4] == '1'
local state = redis.call('HMGET', KEYS[1], 'began', 'used', 'clients', 'waiting', 'dealt', 'owed', 'ahead', client)
if not state[8] then return end
local asked, credit, waits = string.match(state[8], '^(%S+) (%S+) (%S+)$')
local before, after = tonumber(credit), tonumber(credit)
if tonumber(state[1]) == began then
  redis.call('HSET', KEYS[1], 'used', math.max(0, tonumber(state[2]) - units))
  after = after + units
end
if leaves then
  after = 0
  redis.call('HDEL', KEYS[1], client)
  redis.call('HSET', KEYS[1], 'clients', tonumber(state[3]) - 1)
  if asked == state[5] then redis.call('HSET', KEYS[1], 'waiting', tonumber(state[4]) - tonumber(waits)) end
else
  redis.call('HSET', KEYS[1], client, string.format('%d %.6f %d', asked, after, waits))
end
redis.call(
  'HSET', KEYS[1], 'owed', string.format('%.6f', tonumber(state[6]) - math.max(0, before) + math.max(0, after)),
  'ahead', string.format('%.6f', tonumber(state[7]) - math.max(0, -before) + math.max(0, -after))
)
"""
