"""A sender and a server with a rate window, in a time of their own: hours pass in milliseconds."""

from __future__ import annotations

import heapq
import math
import random
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from airflow_provider_moengage.api.rate_limit.headers import RateHeaders
from airflow_provider_moengage.api.rate_limit.window import Grant, Window

BEGAN = 1_000.0


@dataclass
class Server:
    """
    A fixed window as MoEngage documents it.

    :param limit: units a window.
    :param period: seconds a window.
    :param phase: seconds of the first window that had passed when the sender began.
    :param spelling: how the reset is written: ``up``, ``down``, or ``epoch``.
    :param clock_ahead: seconds by which the server's clock is ahead of the sender's.
    :param opens_with_a_call: a window begins with its first call and not on the beat.
    """

    limit: int
    period: float
    phase: float = 0.0
    spelling: str = "up"
    clock_ahead: float = 0.0
    opens_with_a_call: bool = False
    used: Counter[int] = field(default_factory=Counter)
    refused: Counter[int] = field(default_factory=Counter)
    number: int = 0
    ends: float = 0.0

    def __post_init__(self) -> None:
        self.ends = BEGAN - self.phase + self.period

    def turn(self, now: float) -> None:
        """Begin the window that a call at this moment falls into."""
        while now >= self.ends:
            self.number += 1
            self.ends = now + self.period if self.opens_with_a_call else self.ends + self.period

    def left(self, now: float) -> int:
        """Units that a call at this moment would find."""
        return self.limit - (self.used[self.number] if now < self.ends else 0)

    def serve(self, now: float, units: int) -> tuple[int | None, float]:
        """Take units; gives what is left, None for a refusal, and the moment at which the window ends."""
        self.turn(now)
        if self.used[self.number] + units > self.limit:
            self.refused[self.number] += 1
            return None, self.ends
        self.used[self.number] += units
        return self.limit - self.used[self.number], self.ends

    def headers(self, left: int, ends: float, sent: float, received: float) -> RateHeaders:
        """Write the headers of an answer, as the sender reads them."""
        if self.spelling == "epoch":
            reset = math.ceil(ends + self.clock_ahead) - received
        else:
            rounded = math.ceil if self.spelling == "up" else math.floor
            reset = rounded(ends - sent)
        return RateHeaders(
            limit=self.limit,
            period=self.period,
            remaining=left,
            reset=reset if reset >= 0 else None,
            by_clock=self.spelling == "epoch",
        )


@dataclass
class Simulation:
    """
    Senders that have so many units to send, against one server.

    :param latency: seconds of a call, drawn between these two.
    :param concurrency: calls in flight, of each sender.
    :param call: units of one call; a call is cut to what is granted.
    """

    server: Server
    latency: tuple[float, float] = (0.01, 0.05)
    concurrency: int = 16
    call: int = 1
    seed: int = 0
    senders: list[Sender] = field(default_factory=list)
    now: float = BEGAN
    idle_before: Counter[int] = field(default_factory=Counter)
    idle_inside: Counter[int] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        self.random = random.Random(self.seed)
        self.events: list[tuple[float, int, Any]] = []
        self.events_made = 0

    def add(self, units: int, **window: Any) -> Sender:
        """Add a sender of so many units."""
        sender = Sender(self, Window(self.server.limit * 3, clock=lambda: self.now, **window), units)
        self.senders.append(sender)
        return sender

    def at(self, moment: float, do: Any) -> None:
        """Do something at a moment."""
        self.events_made += 1
        heapq.heappush(self.events, (moment, self.events_made, do))

    def others(self, moment: float, units: int) -> None:
        """Let somebody else use units at a moment, or as many as there are."""

        def use() -> None:
            self.server.turn(self.now)
            self.server.serve(self.now, min(units, self.server.left(self.now)))

        self.at(moment, use)

    def run(self, most_seconds: float) -> float:
        """Run until every sender has sent everything; gives the seconds that passed."""
        for sender in self.senders:
            sender.go_on()
        while any(sender.accepted < sender.wanted for sender in self.senders):
            moment, _, do = heapq.heappop(self.events)
            self._watch_idleness(moment)
            self.now = moment
            assert self.now - BEGAN <= most_seconds, "a sender stalls"
            do()
            for sender in self.senders:
                sender.go_on()
        return self.now - BEGAN

    def _watch_idleness(self, until: float) -> None:
        """
        Add up, by window, the seconds in which nobody has a call in flight though the server has units left: before
        a window's first call, and after it.
        """
        if any(sender.in_flight for sender in self.senders):
            return
        server = self.server
        if self.now < server.ends and server.left(self.now) > 0:
            idle = self.idle_inside if server.used[server.number] else self.idle_before
            idle[server.number] += min(until, server.ends) - self.now
        if until > server.ends:
            self.idle_before[server.number + 1] += until - max(self.now, server.ends)


@dataclass
class Sender:
    """One task: calls in flight, each settled by its answer."""

    simulation: Simulation
    window: Window
    wanted: int
    accepted: int = 0
    in_flight: int = 0
    refused: int = 0
    _pending: int = 0
    _wakes_at: float = math.inf

    def __post_init__(self) -> None:
        self._pending = self.wanted

    def go_on(self) -> None:
        """Send whatever may be sent now."""
        while self._pending and self.in_flight < self.simulation.concurrency:
            now = self.simulation.now
            offer = self.window.try_acquire(min(self._pending, self.simulation.call), 1)
            if not isinstance(offer, Grant):
                assert offer > 0, "a busy loop"
                assert offer == math.inf or offer <= self.simulation.server.period + 0.5, "a sleep too long"
                if offer < math.inf and not now < self._wakes_at <= now + offer:
                    self._wakes_at = now + offer
                    self.simulation.at(self._wakes_at, lambda: None)
                return
            self._send(offer)

    def _send(self, grant: Grant) -> None:
        self._pending -= grant.units
        self.in_flight += 1
        there, back = (self.simulation.random.uniform(*self.simulation.latency) / 2 for _ in range(2))
        self.simulation.at(self.simulation.now + there, lambda: self._arrive(grant, back))

    def _arrive(self, grant: Grant, back: float) -> None:
        served = self.simulation.now
        left, ends = self.simulation.server.serve(served, grant.units)
        still = self.simulation.server.left(served) if left is None else left
        self.simulation.at(
            served + back, lambda: self._answer(grant, still, ends, served, throttled=left is None)
        )

    def _answer(self, grant: Grant, left: int, ends: float, served: float, *, throttled: bool) -> None:
        self.in_flight -= 1
        headers = self.simulation.server.headers(left, ends, served, self.simulation.now)
        self.window.settle(grant, headers, throttled=throttled)
        if throttled:
            self.refused += 1
            self._pending += grant.units
        else:
            self.accepted += grant.units
