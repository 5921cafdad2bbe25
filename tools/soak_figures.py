"""The figures of a soak: on standard error how far it is, in a file what is known by now, in the end tables."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import Any

from crash_tally import Tally
from tabulate import tabulate

SPAN = 0.1  # of the steps of a phase: the first and the last, whose latencies are compared
LINE = 60.0  # seconds between two lines
SAVE = 10.0  # seconds between two looks at the figures


class Progress:
    """A line a minute, with how long the rest of this phase will take."""

    def __init__(self, what: str, count: int) -> None:
        self.what, self.count = what, count
        self.start = self.told = time.monotonic()
        self.saved = 0.0

    def __call__(self, done: int, more: str = "") -> bool:
        """Whether the figures are to be saved."""
        now = time.monotonic()
        if now - self.told >= LINE or done == self.count:
            self.told = now
            left = (now - self.start) / max(1, done) * (self.count - done)
            say(f"{self.what}: {done} of {self.count}, {left / 60:.1f} minutes left{more}")
        if now - self.saved < SAVE:
            return False
        self.saved = now
        return True

    @property
    def minutes(self) -> float:
        return round((time.monotonic() - self.start) / 60, 1)


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def save(figures: dict[str, Any], path: Path | None) -> None:
    """The whole file at once: whoever ends the soak at any moment has the figures of a moment before."""
    if path is not None:
        part = path.with_name(path.name + ".part")
        part.write_text(json.dumps(figures, indent=2) + "\n")
        part.replace(path)


def of_steps(seconds: list[float], minutes: float) -> dict[str, Any]:
    """Of at least one step."""
    span = max(1, int(len(seconds) * SPAN))
    return {
        "steps": len(seconds),
        "minutes": minutes,
        "all": quantiles(seconds),
        "first": quantiles(seconds[:span]),
        "last": quantiles(seconds[-span:]),
    }


def quantiles(seconds: list[float]) -> dict[str, float]:
    ordered = sorted(seconds)
    return {f"p{q}": round(ordered[min(len(ordered) - 1, len(ordered) * q // 100)], 3) for q in (50, 95, 99)}


def of_kills(tally: Tally, drawn: int, minutes: float, bound: float) -> dict[str, Any]:
    return {
        "drawn": drawn,
        "hit": tally.kills,
        "after the end": tally.missed,
        "minutes": minutes,
        "longest life after a kill (s)": round(max(tally.seconds.values(), default=0.0), 1),
        "longest life after Vault was last asked (s)": round(tally.longest, 1),
        "effective TTL (s)": bound,
        "most users at once": tally.most_users,
        "handed out by a step that failed": tally.exceptions,
        "users that OpenBao forgot": tally.forgotten,
        "outcomes": [[*row, count] for row, count in sorted(tally.rows.items())],
    }


def report(figures: dict[str, Any], tally: Tally) -> None:
    rows: list[tuple[str, str, str, str]] = []
    tally.tell(lambda *row: rows.append((*row[:3], "" if row[3] is None else f"{row[3]:.1f}")))
    if rows:
        print(tabulate(rows, headers=("fault", "stage", "outcome", "dead after (s)"), disable_numparse=True))
    for name, each in figures.get("steps", {}).items():
        table = [(when, *each[when].values()) for when in ("all", "first", "last")]
        print(f"\n{each['steps']} steps, {name}, in {each['minutes']} minutes; seconds of a whole step:")
        print(tabulate(table, headers=("", "p50", "p95", "p99")))
    if figures.get("growth"):
        table = [(name, *each["KiB"], *each["files"]) for name, each in figures["growth"].items()]
        print()
        print(tabulate(table, headers=("", "KiB early", "KiB late", "files early", "files late")))
    for name, value in figures.items():
        if name not in ("steps", "growth", "kills", "violations"):
            print(f"{name}: {value}")
    for name, value in figures.get("kills", {}).items():
        if name != "outcomes":
            print(f"kills, {name}: {value}")
