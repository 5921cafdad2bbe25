"""Adds up what came of batches of kills, for one table."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import NamedTuple

from crash_fate import Fate


class Checked(NamedTuple):
    """What came of a batch."""

    fates: list[Fate]  # of the kills that hit
    missed: int  # of those that came after the end
    violations: list[str]
    exceptions: list[str]  # handed out in the moment in which the step failed: left to the job's end, and to its TTL
    longest: float  # seconds that a user lived after OpenBao was last asked about it
    most_users: int
    forgotten: list[str]  # users that OpenBao made and has no lease of, because its client was killed in that moment


class Tally:
    def __init__(self) -> None:
        self.rows: Counter[tuple[str, str, str]] = Counter()  # (fault, stage, outcome) -> kills
        self.seconds: dict[tuple[str, str], float] = {}
        self.kills = self.missed = self.most_users = 0
        self.longest = 0.0
        self.violations: list[str] = []
        self.exceptions: list[str] = []
        self.forgotten: list[str] = []

    def add(self, checked: Checked) -> None:
        for fate in checked.fates:
            self.rows[fate.fault, fate.stage, fate.outcome] += 1
            place = (fate.fault, fate.stage)
            if fate.seconds is not None:
                self.seconds[place] = max(self.seconds.get(place, 0.0), fate.seconds)
        self.kills += len(checked.fates)
        self.missed += checked.missed
        self.longest = max(self.longest, checked.longest)
        self.most_users = max(self.most_users, checked.most_users)
        self.violations += checked.violations
        self.exceptions += checked.exceptions
        self.forgotten += checked.forgotten

    def tell(self, row: Callable[[str, str, str, float | None], None]) -> None:
        """A line for each fault and stage: how many kills ended in which way, and the longest life after one."""
        places = sorted({(fault, stage) for fault, stage, _ in self.rows})
        for fault, stage in places:
            counts = {end: n for (f, s, end), n in sorted(self.rows.items()) if (f, s) == (fault, stage)}
            outcome = ", ".join(f"{count} {end}" for end, count in counts.items())
            row(fault, stage, f"{sum(counts.values())} kills; {outcome}", self.seconds.get((fault, stage)))
