"""What `ledger verify` prints of each file, and in the end of all; whether something is wrong is not decided here."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict
from pathlib import PurePath
from typing import Any

from stepcreds.ledger.chain import Finding
from stepcreds.printable import one_line
from stepcreds.review.verification import Verified
from stepcreds.seals.log import Log
from stepcreds.trust.keys import Trust

SCHEMA = "stepcreds.verification/1"
MOST_LINES = 20  # files without a finding that are listed one by one
LESS = "this finds damage and changed lines, but not a chain that was rewritten as a whole."

_GREEN, _RED, _PLAIN = "\x1b[32m", "\x1b[31m", "\x1b[0m"


class Tally:
    """What came of all files."""

    def __init__(self, trust: Trust | None) -> None:
        self.files = 0
        self.with_findings = 0
        self._trust = trust
        self._records = 0
        self._certainty: Counter[str] = Counter()
        self._states: Counter[str] = Counter()

    def add(self, result: Verified) -> None:
        self.files += 1
        self.with_findings += bool(result.findings)
        self._records += result.entries
        self._certainty.update(finding.certainty for finding in result.findings)
        self._states[result.signing.state] += 1

    def lines(self) -> list[str]:
        """How many of what, and how far all that is signed."""
        lines = [self._total()] if self.files > 1 else []
        if self._states["signed"]:
            lines.append(f"Signed: {self._of(self._states['signed'])}, by keys of {self._source()}.")
        if self._states["partly signed"]:
            lines.append(f"Partly signed: {self._of(self._states['partly signed'])}, by keys of {self._source()}.")
        if self._states["not checked"]:
            whose = "nobody said whose signatures count: --trust FILE (stepcreds ledger trust export)"
            lines.append(
                f"Not checked: {self._of(self._states['not checked'])}; "
                + (f"{whose}." if not self._trust else "not read to the end.")
            )
        if unsigned := self._states["unsigned"]:
            lines.append(
                f"Not signed: {LESS}" if unsigned == self.files else f"Not signed: {self._of(unsigned)}; {LESS}"
            )
        return lines

    def _total(self) -> str:
        count = sum(self._certainty.values())
        found = "nothing found"
        if count:
            sure = ", ".join(f"{number} {name}" for name, number in sorted(self._certainty.items()))
            found = f"{_number(count, 'finding')} in {_number(self.with_findings, 'file')} ({sure})"
        return f"{_number(self.files, 'file')}, {_number(self._records, 'record')}: {found}."

    def _of(self, count: int) -> str:
        return _number(count, "chain") if count == self.files else f"{count} of {self.files} chains"

    def _source(self) -> str:
        return one_line(self._trust.source) if self._trust is not None else "nobody"


def result_line(result: Verified, colour: bool) -> str:
    """What was checked in one file, and how it came out."""
    count = len(result.findings)
    found = _number(count, "finding") if count else "ok"
    if colour:
        found = f"{_RED if count else _GREEN}{found}{_PLAIN}"
    signing = {
        "signed": ", signed",
        "partly signed": f", signed up to record {result.signing.entries}",
        "not checked": ", signatures not checked",
    }.get(result.signing.state, "")
    state = "closed" if result.closed else "open"
    return f"{one_line(result.file)}: {found}, {_number(result.entries, 'record')}, {state}{signing}"


def finding_line(finding: Finding, file: str) -> str:
    """One finding, indented: where, which check, how sure, and what it means. `file` is that of the line above."""
    where = [] if finding.file == file else [one_line(PurePath(finding.file).name)]
    where += [f"line {finding.line}"] if finding.line else []
    place = f"{' '.join(where)}: " if where else ""
    return f"  {place}{finding.layer}/{finding.code} ({finding.certainty}): {one_line(finding.meaning)}"


def seals_lines(log: Log, findings: list[Finding], colour: bool) -> list[str]:
    """What the seals are, and what was found in them and not found of what they name."""
    found = _number(len(findings), "finding") if findings else "ok"
    if colour:
        found = f"{_RED if findings else _GREEN}{found}{_PLAIN}"
    state = {"not checked": "signatures not checked"}.get(log.state, log.state)
    newest = f", the newest of {log.last.seal.time}" if log.last is not None else ""
    line = f"{one_line(log.place)}: {found}, {_number(len(log.seals), 'seal')}, {state}{newest}"
    return [line, *(finding_line(each, log.place) for each in findings)]


def seals_json(log: Log, findings: list[Finding]) -> dict[str, Any]:
    """What `--json` prints of the seals."""
    seal, digest = (log.last.seal, log.last.digest) if log.last is not None else (None, "")
    return {
        "place": log.place,
        "state": log.state,
        "seals": len(log.seals),
        "newest": seal and {"seq": seal.seq, "time": seal.time, "root": seal.root, "sha256": digest},
        "findings": [asdict(finding) for finding in findings],
    }


def as_json(results: list[Verified], trust: Trust | None) -> dict[str, Any]:
    """What `--json` prints; docs/ledger.md lists its fields, which stay."""
    return {
        "schema": SCHEMA,
        "trust": None if trust is None else {"file": trust.source, "keys": len(trust.keys)},
        "files": [_file_json(result) for result in results],
    }


def _file_json(result: Verified) -> dict[str, Any]:
    signing = result.signing
    return {
        "file": result.file,
        "chain_uid": result.chain_uid or None,
        "job": dict(result.job) or None,
        "entries": result.entries,
        "head": result.head if result.entries else None,
        "closed": result.closed,
        "signing": {
            "state": signing.state,
            "entries": signing.entries,
            "checkpoints": signing.checkpoints,
            "keys": list(signing.keys),
        },
        "findings": [asdict(finding) for finding in result.findings],
    }


def _number(count: int, what: str) -> str:
    return f"{count} {what}{'' if count == 1 else 's'}"
