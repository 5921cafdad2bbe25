"""Which step is killed, who of it, and when: drawn from a seed. It kills nobody."""

from __future__ import annotations

import random
from collections import Counter
from typing import NamedTuple

LONGEST_GAP = 0.3  # seconds between one kill and the other

# Who is killed, and who of them a second later or less.
VICTIMS = {
    "worker": (("worker",), ()),
    "front": (("front",), ()),
    "both": (("front", "worker"), ()),
    "both and the command": (("front", "worker", "command"), ()),
    "front, then worker": (("front",), ("worker",)),
    "worker, then front": (("worker",), ("front",)),
}
ONE = ("worker", "front")  # the other half survives


class Scenario(NamedTuple):
    """What is run. `seconds` is how long its command takes."""

    arguments: tuple[str, ...]
    share: int
    seconds: float = 0.0


def shell(script: str) -> tuple[str, ...]:
    """A command that makes the file $CRASH_MARK first."""
    return ("--", "sh", "-c", f': >"$CRASH_MARK"; {script}')


SCENARIOS = {
    "true": Scenario(("exec", "verify", *shell("exec true")), 8),
    "sleep": Scenario(("exec", "migrate", *shell("exec sleep 0.1")), 5, 0.1),
    "daemon": Scenario(("exec", "migrate", *shell("setsid sleep 300 & exec sleep 0.05")), 3, 0.05),
    "two": Scenario(("exec", "migrate", "--also", "second", *shell("exec true")), 1),
    "renewed": Scenario(("exec", "renewed", *shell("exec sleep 2")), 1, 2.0),
    "outputs": Scenario(("action", "main"), 1),
    "scope": Scenario(("scope", "verify"), 1),
    "doctor": Scenario(("doctor", "migrate"), 1),
    "revoke": Scenario(("revoke", "--all"), 1),
}


class Point(NamedTuple):
    """A line of one half's life."""

    half: str
    file: str  # below stepcreds/
    line: int
    occurrence: int

    def __str__(self) -> str:
        return f"{self.half} before {self.file}:{self.line}, time {self.occurrence}"


class Kill(NamedTuple):
    """All that a repetition needs."""

    name: str
    scenario: str
    victims: str
    moment: float | Point  # seconds from the start
    gap: float  # seconds to the second kill, where there is one
    recover: bool  # `stepcreds revoke --all` comes soon after, or the Action's `post`

    def __str__(self) -> str:
        moment = f"{self.moment}" if isinstance(self.moment, Point) else f"after {self.moment:.4f} s"
        gap = f", and {self.gap:.3f} s later" if VICTIMS[self.victims][1] else ""
        return f"{self.name}: {self.scenario}, {self.victims} killed, {moment}{gap}"


class Plan:
    """Draws kills: number `n` of a seed is the same whatever was drawn before it."""

    def __init__(
        self, seed: int, seconds: dict[str, float], lines: dict[str, list[tuple[str, str, int]]], share: float
    ) -> None:
        """`seconds` and `lines` are those of a whole life of each scenario; `share` of the kills are at lines."""
        self.seed = seed
        self.seconds = seconds
        self.share = share
        self.points = {name: Counter(seen) for name, seen in lines.items()}

    def kill(self, number: int) -> Kill:
        draw = random.Random(f"{self.seed}/{number}")  # noqa: S311 - to be repeated, not to be secret
        names = [name for name in SCENARIOS if name in self.seconds]
        scenario = draw.choices(names, [SCENARIOS[name].share for name in names])[0]
        points = self.points.get(scenario)
        if points and draw.random() < self.share:
            place = draw.choice(sorted(points))
            moment: float | Point = Point(*place, draw.randint(1, points[place]))
        else:
            moment = draw.uniform(0.0, self.seconds[scenario])
        at_once = [name for name, (_, later) in VICTIMS.items() if not later or isinstance(moment, float)]
        victims = draw.choice(at_once)
        recover = victims not in ONE and scenario in ("true", "sleep", "daemon", "two", "outputs", "revoke")
        recover &= draw.random() < 0.25
        gap = draw.uniform(0.0, LONGEST_GAP)
        return Kill(f"s{self.seed}-{number}", scenario, victims, moment, gap, recover)

    def every_line(self, scenario: str) -> list[Kill]:
        """One before the first execution of each line, in any order; worker, front and both take turns."""
        victims = (*ONE, "both")
        places = sorted(self.points[scenario])
        random.Random(self.seed).shuffle(places)  # noqa: S311
        return [
            Kill(f"s{self.seed}-{scenario}-{n}", scenario, victims[n % 3], Point(*place, 1), 0.0, recover=False)
            for n, place in enumerate(places)
        ]
