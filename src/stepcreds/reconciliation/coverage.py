"""From when until when there is an audit log, by its own times: of what lies outside nobody can tell anything."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

# What a Vault that is asked little is silent for between the last line of one file and the first of the next. A file
# that is missing leaves more than that, or so little that hardly a step fits in.
SILENCE = 60.0  # seconds
APART = 60.0  # seconds; a job whose clock differs by more has times of its own making
SLACK = 5.0  # seconds by which the clock of a job may differ from Vault's


class Period(NamedTuple):
    """Epoch seconds, both included."""

    start: float
    end: float


class Coverage:
    """The periods of the files, in order, those that touch made one."""

    def __init__(self, periods: Iterable[Period]) -> None:
        self.periods: list[Period] = []
        for period in sorted(periods):
            last = self.periods[-1] if self.periods else None
            if last is not None and period.start <= last.end + SILENCE:
                self.periods[-1] = Period(last.start, max(last.end, period.end))
            else:
                self.periods.append(period)

    def covers(self, start: float, end: float) -> bool:
        """Whether there is a log of all the time from `start` to `end`."""
        return any(period.start <= start and end <= period.end for period in self.periods)

    def has(self, moment: float) -> bool:
        """Whether what a job did at `moment`, by its own clock, would be there."""
        return self.covers(moment - SLACK, moment + SLACK)

    def touches(self, moment: float) -> bool:
        """Whether what a job did at `moment`, by its own clock, may be there."""
        return any(period.start - SLACK <= moment <= period.end + SLACK for period in self.periods)

    def meets(self, since: float | None, until: float | None) -> bool:
        """Whether there is a log of any of that time; None: no bound."""
        return any(
            (since is None or since <= period.end) and (until is None or period.start <= until)
            for period in self.periods
        )

    def end_after(self, moment: float) -> float:
        """Until when there is a log without a gap from `moment` on; `moment` itself where there is none."""
        return next((period.end for period in self.periods if period.start <= moment <= period.end), moment)


class Extent:
    """The periods of one file, told from the times of its lines as they come."""

    def __init__(self) -> None:
        self.periods: list[Period] = []

    def saw(self, moment: float) -> None:
        """A line of that time. One that is much older than the line before begins another log in the same file."""
        last = self.periods[-1] if self.periods else None
        if last is None or moment < last.end - SILENCE:
            self.periods.append(Period(moment, moment))
        else:
            self.periods[-1] = Period(min(last.start, moment), max(last.end, moment))
