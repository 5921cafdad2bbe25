"""What `setup apply` and `setup check` print: what is to be changed, what was done, and what has drifted; no secret."""

from __future__ import annotations

import difflib
import json
import textwrap
from collections.abc import Iterable, Sequence

from stepcreds.printable import json_text, one_line, printable
from stepcreds.setup.live.administrator import where
from stepcreds.setup.live.check import Drift, Report
from stepcreds.setup.live.difference import Difference, Field
from stepcreds.setup.live.rotation import Rotation
from stepcreds.setup.live.survey import DatabaseState, Survey
from stepcreds.setup.plan import Statement

_WIDTH = 110
_VALUE = 110  # characters of a value
_GREEN, _YELLOW, _RED, _DIM, _BOLD, _PLAIN = "\x1b[32m", "\x1b[33m", "\x1b[1;31m", "\x1b[2m", "\x1b[1m", "\x1b[0m"
_COLOURS = {"+": _GREEN, "~": _YELLOW, "!": _RED, "?": _RED, "=": _DIM, ".": _DIM, "-": _RED}
_HEADS = ("---", "+++", "@@ ")
_MARKS = {"create": "+", "change": "~", "conflict": "!", "unread": "?"}


class Text:
    """Lines, coloured or not."""

    def __init__(self, colour: bool) -> None:
        self._colour = colour

    def plan(self, survey: Survey, rotated: Sequence[Rotation], address: str, notes: Sequence[str] = ()) -> str:
        """Everything that would be done, and what is as it should be in numbers."""
        lines = [line for state in survey.databases for line in self._database(state, rotated)]
        lines.append(self._in(_BOLD, f"Vault {one_line(address)}"))
        for difference in survey.differences:
            lines += self._difference(difference)
        lines += self._same(sum(each.action == "same" for each in survey.differences))
        said = [line for note in notes for line in ("", *_wrapped(f"Note: {note}"))]
        return "\n".join([*lines, *said, "", counted(survey, rotated)])

    def report(self, report: Report) -> str:
        lines: list[str] = []
        for drift in report.drift:
            lines += self._drift(drift)
        lines += self._listed("Beside the configuration, and not wrong by itself:", report.notes)
        lines += self._listed("Not compared, so nobody knows whether it is right:", report.not_compared)
        number, unseen = len(report.drift), len(report.not_compared)
        differs = f"{number} difference{'s' * (number > 1)}"
        if unseen:
            found = f"{differs if number else 'No difference'} in what was compared, and {unseen} not compared"
        else:
            found = differs if number else "Nothing has drifted"
        return "\n".join([*lines, f"{found}; {report.same} as they should be."])

    def done(self, what: str) -> str:
        return f"{self._in(_GREEN, 'done')} {printable(what)}"

    def left(self, steps: Iterable[str]) -> str:
        return "\n".join(f"{self._in(_RED, 'not done')} {printable(what)}" for what in steps)

    def _database(self, state: DatabaseState, rotated: Sequence[Rotation]) -> list[str]:
        lines = [self._in(_BOLD, f"Database {printable(where(state.plan))}")]
        if state.administrator is None:
            lines.append(
                self._marked("?", "not looked at: there is no administrator's URL (--database-admin VARIABLE).")
            )
            lines += [
                "      Nobody knows whether it has what it needs: have its administrator run what",
                "      `stepcreds setup --format sql` prints.",
            ]
        reasons = {statement: reason.partition("\n")[0] for statement, reason in state.refused}
        for statement in state.missing:
            if statement in reasons:
                first, *others = _wrapped(f"it would fail: {reasons[statement]}.")
                lines += [self._marked("!", first), *(f"    {line}" for line in others)]
            else:
                lines += self._statement(statement)
        for statement, reason in state.left:
            first, *others = _wrapped(f"left as it is, {reason}: {statement.why}")
            lines += [self._marked(".", first), *(f"    {line}" for line in others)]
        for rotation in rotated:
            if rotation.state is state:
                user = one_line(state.plan.manager)
                what = f"{user} gets a new password, which Vault alone will know: {rotation.why}."
                lines += [
                    self._marked("~", first) if not n else f"    {first}" for n, first in enumerate(_wrapped(what))
                ]
        if state.administrator is not None:
            lines += self._same(len(state.plan.statements) - len(state.missing) - len(state.left))
        return [*lines, ""]

    def _statement(self, statement: Statement) -> list[str]:
        first, *others = _wrapped(statement.why)
        lines = [self._marked("+", first), *(f"    {line}" for line in others)]
        if statement.secret:
            return [*lines, self._in(_DIM, "      (it holds a password)")]
        length = statement.sql.count("\n") + 1
        shown = (
            one_line(statement.sql, _VALUE)
            if length == 1
            else f"(a block of {length} lines: stepcreds setup --format sql)"
        )
        return [*lines, self._in(_DIM, f"      {shown}")]

    def _difference(self, difference: Difference) -> list[str]:
        setting, action = difference.setting, difference.action
        if action == "same":
            return []
        if action == "left":
            first, *others = _wrapped(f"{one_line(setting.path)}: left as it is. {difference.reason}.")
            return [self._marked(".", first), *(f"    {line}" for line in others)]
        lines = [self._marked(_MARKS[action], f"{one_line(setting.path)}  {self._in(_DIM, printable(setting.why))}")]
        if action == "create":
            hidden = dict.fromkeys(setting.secret, "(made by stepcreds, then known to Vault alone)")
            shown = {**setting.body, **hidden}
            return lines + [f"      {name}: {value(name, shown[name])}" for name in shown]
        lines += [f"      {line}" for field in difference.fields for line in self._change(field)]
        return lines + ([f"      {printable(difference.reason)}"] if difference.reason else [])

    def _change(self, field: Field) -> list[str]:
        """One line; of a policy, and of statements where there are others, those that go and those that come."""
        before, after = _texts(field.found), _texts(field.wanted)
        if field.name != "policy" and not (field.name.endswith("_statements") and before and after):
            return [change(field)]
        lines = [each for each in difflib.unified_diff(before, after, n=0, lineterm="") if each[:3] not in _HEADS]
        return [f"{field.name}:", *(self._in(_COLOURS.get(each[0], _DIM), printable(each, 4000)) for each in lines)]

    def _drift(self, drift: Drift) -> list[str]:
        first, *others = _wrapped(f"{one_line(drift.place)}: {drift.what}")
        lines = [f"{self._in(_RED, 'differs')} {first}", *(f"  {line}" for line in others)]
        if drift.found is not None or drift.wanted is not None:
            name = drift.code.rpartition(".")[2]
            lines += [f"  {line}" for line in self._change(Field(name, drift.found, drift.wanted))]
        lines += [f"  {line}" for line in _wrapped(drift.why)] if drift.why else []
        return [*lines, f"  {self._in(_BOLD, 'fix:')} {printable(drift.fix)}", ""]

    def _same(self, number: int) -> list[str]:
        return [self._marked("=", f"{number} as {'it' if number == 1 else 'they'} should be")] if number else []

    def _listed(self, title: str, items: Sequence[str]) -> list[str]:
        return [title, *(f"  {printable(item)}" for item in items), ""] if items else []

    def _marked(self, mark: str, text: str) -> str:
        return f"  {self._in(_COLOURS[mark], mark)} {text}"

    def _in(self, colour: str, text: str) -> str:
        return f"{colour}{text}{_PLAIN}" if self._colour and text else text


def counted(survey: Survey, rotated: Sequence[Rotation]) -> str:
    """The last line of a plan."""
    numbers = {
        "to create": sum(each.action == "create" for each in survey.differences),
        "to change": sum(each.action == "change" for each in survey.differences),
        "to run at databases": sum(len(state.missing) for state in survey.databases),
        "to get a new password": len(rotated),
    }
    words = [f"{number} {what}" for what, number in numbers.items() if number]
    unseen = sum(state.administrator is None for state in survey.databases)
    if not unseen:
        return (", ".join(words) or "Nothing to do") + "."
    left = "1 database was" if unseen == 1 else f"{unseen} databases were"
    return (", ".join(words) or "Nothing to do at Vault") + f"; {left} not looked at."


def change(field: Field) -> str:
    """`name: from -> to`"""
    return f"{field.name}: {value(field.name, field.found)} -> {value(field.name, field.wanted)}"


def value(name: str, of: object) -> str:
    """A value in one line; statements and policies by their number and length."""
    if of is None or of in ([], ""):
        return "(none)"
    if name.endswith("_statements") and isinstance(of, (list, tuple)):
        return f"{len(of)} statement{'s' * (len(of) != 1)}"
    if name == "policy":
        return f"{len(str(of).splitlines())} lines"
    return one_line(of if isinstance(of, str) else json.dumps(of, default=str, ensure_ascii=False), _VALUE)


def _texts(of: object) -> list[str]:
    return list(map(str, of)) if isinstance(of, (list, tuple)) else str(of or "").splitlines()


def as_json(report: Report) -> str:
    """`report` as one object."""
    return json_text(
        {
            "drift": [drift._asdict() for drift in report.drift],
            "notes": list(report.notes),
            "not_compared": list(report.not_compared),
            "same": report.same,
        },
        str,
    )


def _wrapped(text: str) -> list[str]:
    return textwrap.wrap(printable(text), _WIDTH) or [""]
