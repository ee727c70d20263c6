"""Counts that all processes of the service share, in Redis."""

from collections.abc import Sequence

from fastapi import FastAPI

from ..redis.client import RedisClient, check_redis
from .limits import Count, Demand, RateLimiter
from .middleware import add_rate_limits
from .redis_settings import SharedRateLimitSettings

# A key has the start of a client's window, its count and that of the window before.
SPEND = """
local clock = redis.call('TIME')
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)
local is_counted = 1
local counts = {}
for i, key in ipairs(KEYS) do
    local amount, window = tonumber(ARGV[2 * i - 1]), tonumber(ARGV[2 * i])
    local kept = redis.call('GET', key) or now .. ' 0 0'
    local start, current, previous = string.match(kept, '(%d+) (%d+) (%d+)')
    local elapsed = now - start
    current, previous = tonumber(current), tonumber(previous)
    if elapsed >= 2 * window or elapsed < 0 then
        current, previous, elapsed = 0, 0, 0
    elseif elapsed >= window then
        current, previous, elapsed = 0, current, elapsed - window
    end
    local share = math.max(0, previous * (window - elapsed) - 1)
    if current + math.floor(share / window) >= amount then
        is_counted = 0
    end
    counts[i] = {current, previous, elapsed}
end
if is_counted == 1 then
    for i, key in ipairs(KEYS) do
        local count = counts[i]
        count[1] = count[1] + 1
        local kept = now - count[3] .. ' ' .. count[1] .. ' ' .. count[2]
        redis.call('SET', key, kept, 'PX', 2 * ARGV[2 * i] - count[3])
    end
end
return {is_counted, counts}
"""

UNDO = """
for i, key in ipairs(KEYS) do
    local kept = redis.call('GET', key)
    if i > tonumber(ARGV[1]) then
        redis.call('DEL', key)
    elseif kept then
        local start, current, previous = string.match(kept, '(%d+) (%d+) (%d+)')
        kept = start .. ' ' .. math.max(0, current - 1) .. ' ' .. previous
        redis.call('SET', key, kept, 'KEEPTTL')
    end
end
"""


class SharedCounts:
    """Counts in Redis and by its clock: one call for all limits of a request."""

    def __init__(self, client: RedisClient) -> None:
        """Use a client's connections and timeouts."""
        self._client = client
        self._spend = client.connections.register_script(SPEND)
        self._undo = client.connections.register_script(UNDO)

    async def spend(self, demands: Sequence[Demand]) -> tuple[bool, list[Count]]:
        """Count one for every demand, or for none; Redis does it in one step."""
        arguments = [
            number for limit, _ in demands for number in (limit.amount, limit.window)
        ]
        is_counted, counts = await self._client.run(
            lambda: self._spend(keys=self._names(demands), args=arguments)
        )
        return bool(is_counted), [Count(*count) for count in counts]

    async def undo(self, spent: Sequence[Demand], forgotten: Sequence[Demand]) -> None:
        """Take back one count of each spent demand, and all counts of each forgotten."""
        names = self._names([*spent, *forgotten])
        await self._client.run(lambda: self._undo(keys=names, args=[len(spent)]))

    def _names(self, demands: Sequence[Demand]) -> list[str]:
        prefix = f"{self._client.prefix}:limits"
        return [f"{prefix}:{limit.name}:{key}" for limit, key in demands]


def add_shared_rate_limits(
    app: FastAPI, settings: SharedRateLimitSettings, redis: RedisClient
) -> RateLimiter:
    """Limit how many requests a client may send, counted for all processes together."""
    is_open = settings.rate_limit_on_failure == "open"
    check_redis(app, redis, is_optional=is_open)
    return add_rate_limits(app, settings, SharedCounts(redis), is_open=is_open)
