"""A clock that moves only when somebody sleeps on it, for tests that count retries."""

from __future__ import annotations


class ManualClock:
    def __init__(self, now: float = 1_795_336_000.0) -> None:
        self._now = now
        self.slept: list[float] = []

    def now(self) -> float:
        return self._now

    def monotonic(self) -> float:
        return self._now

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self._now += seconds
