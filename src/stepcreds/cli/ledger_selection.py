"""The options that say which credentials a command of `stepcreds ledger` is about, as one `Selection`."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any

import click

from stepcreds.clock import Clock, SystemClock
from stepcreds.review.selection import Selection, moment, of_day

_TEXTS = (
    ("--repository", "repository", "ID", "Only this repository, by its id or its name."),
    ("--run", "run", "ID", "Only this run (the CI's own run id)."),
    ("--attempt", "attempt", "N", "Only this attempt of runs."),
    ("--job", "job", "NAME", "Only jobs of this name."),
    ("--step", "step", "NAME", "Only steps of this name, or whose step_uid begins so."),
    ("--profile", "profile", "NAME", "Only this profile."),
)
_TIMES = (
    ("--since", "since", "Only credentials that may have lived then or later: 2026-11-22T14:02:00Z, a date, 2h, 3d."),
    ("--until", "until", "Only credentials that were there by then; a date counts with all of its day."),
)
_FLAGS = (
    ("--open", "open", "Only credentials whose end is not on record."),
    ("--excess", "excess", "Only credentials that could do more than their profile declares."),
    ("--unproven", "unproven", "Only credentials that were not proven dead."),
    ("--leaked", "leaked", "Only credentials that their command left somewhere."),
    ("--unsigned", "unsigned", "Only credentials whose records no trusted key has signed."),
)
_DAY = 86_400  # seconds


def selection_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """All of them; the command is handed `selection: Selection`."""

    @wraps(command)
    def selecting(*arguments: Any, **options: Any) -> Any:
        names = [name for _, name, *_ in (*_TEXTS, *_TIMES, *_FLAGS)]
        chosen = {name: options.pop(name) for name in names}
        return command(*arguments, selection=_selection(chosen, SystemClock()), **options)

    wrapped: Callable[..., Any] = selecting
    for flag, name, text in reversed(_FLAGS):
        wrapped = click.option(flag, name, is_flag=True, help=text)(wrapped)
    for flag, name, text in reversed(_TIMES):
        wrapped = click.option(flag, name, metavar="TIME", help=text)(wrapped)
    for flag, name, metavar, text in reversed(_TEXTS):
        wrapped = click.option(flag, name, metavar=metavar, help=text)(wrapped)
    return wrapped


def _selection(chosen: dict[str, Any], clock: Clock) -> Selection:
    since, until = chosen["since"], chosen["until"]
    now = clock.now()
    chosen["since"] = None if since is None else moment(since, now)
    chosen["until"] = None if until is None else moment(until, now) + (_DAY - 0.001 if of_day(until) else 0)
    return Selection(**chosen)
