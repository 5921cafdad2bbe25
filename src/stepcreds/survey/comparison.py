"""What changed in a credential's power since an earlier survey, which is read from its JSON; it decides who is told."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from stepcreds.errors import UsageError
from stepcreds.measurement import LEVELS, Finding
from stepcreds.printable import one_line
from stepcreds.survey.result import Survey

LIMIT = 256 * 1024 * 1024  # bytes
_TEXTS = ("code", "name", "level", "standing", "what", "via", "database")


class Change(NamedTuple):
    """The same power as before, but over more or fewer objects, at another level, by another way, or judged anew."""

    finding: Finding
    was: Mapping[str, object]  # as the earlier report has it

    @property
    def is_worse(self) -> bool:
        """Whether somebody should look: it became a higher level, or excess."""
        higher = LEVELS.index(self.finding.level) > _rank(self.was)
        return higher or (self.finding.standing == "excess" and self.was.get("standing") != "excess")


class Changes(NamedTuple):
    """All of it. Of an earlier report only texts and numbers are taken."""

    since: str | None  # the time of the earlier report; None: it has no measurement of this profile
    new: tuple[Finding, ...]
    gone: tuple[Mapping[str, object], ...]
    changed: tuple[Change, ...]

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to tell."""
        return self.since is not None and not (self.new or self.gone or self.changed)

    @property
    def is_clean(self) -> bool:
        """Whether nothing came that is more than worth knowing."""
        return not any(finding.level != "info" for finding in self.new) and not any(
            change.is_worse for change in self.changed
        )


class Earlier:
    """An earlier report: of one profile, or of several."""

    def __init__(self, file: Path, reports: Mapping[str, Mapping[str, object]], alone: bool) -> None:
        self._file = file
        self._reports = reports
        self._alone = alone

    @classmethod
    def read(cls, file: Path) -> Earlier:
        """What is in `file`. Raises `UsageError` for anything that is no output of `scope --json`."""
        try:
            with file.open("rb") as opened:
                text = opened.read(LIMIT + 1)
        except OSError as error:
            raise _unreadable(file, error.strerror or "it cannot be read") from None
        if len(text) > LIMIT:
            raise _unreadable(file, "it is too large")
        try:
            found = json.loads(text)
        except (ValueError, RecursionError):
            raise _unreadable(file, "it is not JSON") from None
        reports = found if isinstance(found, list) else [found]
        by_name = {}
        for report in reports:
            why = _problem(report)
            if why:
                raise _unreadable(file, why)
            by_name[str(report["profile"])] = report
        return cls(file, by_name, not isinstance(found, list))

    def check(self, name: str) -> None:
        """Raise `UsageError` where the report is of one profile alone, and of another."""
        if self._alone and name not in self._reports:
            other = one_line(next(iter(self._reports)))
            raise _unreadable(self._file, f"it is about {other}, and not about {one_line(name)}")

    def changes(self, survey: Survey) -> Changes:
        """What changed since. Of a profile that was not measured then, everything is new."""
        report = self._reports.get(survey.profile.name)
        if report is None or report.get("digest") is None:
            return Changes(None, survey.findings, (), ())
        since = str(report["time"])
        if survey.measured is None:
            return Changes(since, (), (), ())
        before = {_key(each): each for each in _findings(report)}
        now = {(each.database, each.name): each for each in survey.findings}
        return Changes(
            since,
            tuple(finding for key, finding in now.items() if key not in before),
            tuple(each for key, each in before.items() if key not in now and _seen(each, survey)),
            tuple(
                Change(finding, before[key])
                for key, finding in now.items()
                if key in before and _differs(finding, before[key])
            ),
        )


def _findings(report: Mapping[str, object]) -> list[Mapping[str, object]]:
    token = report.get("token")
    parts = [report.get("findings"), token.get("findings") if isinstance(token, dict) else []]
    return [each for part in parts if isinstance(part, list) for each in part]


def _seen(finding: Mapping[str, object], survey: Survey) -> bool:
    """Whether it would show now if it were still so: what nobody looked at this time is not gone."""
    return survey.token is not None or not str(finding["code"]).startswith("VAULT.")


def _key(finding: Mapping[str, object]) -> tuple[str, str]:
    return str(finding["database"]), str(finding["name"])


def _differs(finding: Finding, was: Mapping[str, object]) -> bool:
    now = (finding.level, finding.standing, finding.via, finding.number)
    return now != (was["level"], was["standing"], was["via"], was["count"])


def _rank(finding: Mapping[str, object]) -> int:
    return [str(level) for level in LEVELS].index(str(finding["level"]))


def _problem(report: object) -> str:
    """What keeps `report` from being one of ours, "" where nothing does."""
    if not isinstance(report, dict) or "profile" not in report or "findings" not in report:
        return "it is not what `stepcreds scope --json` prints"
    if report.get("version") != 1:
        return f"it is of version {one_line(str(report.get('version')), 20)}, and this stepcreds reads version 1"
    token = report.get("token")
    parts = [report["findings"], token.get("findings") if isinstance(token, dict) else []]
    findings = [each for part in parts if isinstance(part, list) for each in part]
    for each in findings:
        whole = isinstance(each, dict) and all(isinstance(each.get(key), str) for key in _TEXTS)
        if not whole or each["level"] not in LEVELS or not isinstance(each.get("count"), int):
            return "one of its findings is not as `stepcreds scope --json` prints it"
    if not isinstance(report.get("time"), str) or not all(isinstance(part, list) for part in parts):
        return "it is not what `stepcreds scope --json` prints"
    return ""


def _unreadable(file: Path, why: str) -> UsageError:
    return UsageError(
        f"{one_line(str(file))} cannot be compared with: {why}",
        cause="--compare reads what an earlier `stepcreds scope --json`, of the same profile or with --all, printed.",
        fix="Make one now, and compare with it next time: stepcreds scope PROFILE --json > scope.json",
        docs="scope-compare",
    )
