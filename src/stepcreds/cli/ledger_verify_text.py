"""What `ledger verify` prints of each file, and in the end of all; whether something is wrong is not decided here."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from stepcreds.cli.ledger_findings import COLOURS, PLAIN, finding_line
from stepcreds.ledger.chain import CERTAINTIES, Certainty, Finding
from stepcreds.printable import one_line
from stepcreds.review.verification import Verified
from stepcreds.seals.log import Log
from stepcreds.trust.keys import Trust

SCHEMA = "stepcreds.verification/1"
MOST_LINES = 20  # files without a finding that are listed one by one
LESS = "this finds damage and changed lines, but not a chain that was rewritten as a whole."

NOT_COMPLETE = (
    "Signed does not mean complete: what was cut or removed together with its checkpoints, seals and Vault's audit log "
    "know (verify --seals, ledger reconcile)."
)
MOST_NAMED = 10  # files in which something was tampered with, at the end once more

_GREEN = "\x1b[32m"


class Tally:
    """What came of all files."""

    def __init__(self, trust: Trust | None) -> None:
        self.files = 0
        self._with_findings = 0
        self._trust = trust
        self._records = 0
        self._certainty: Counter[Certainty] = Counter()
        self._states: Counter[str] = Counter()  # of signing, and "gone"
        self._tampered: list[str] = []  # where the first such finding of a file is
        self._more = 0  # files with such findings
        self._unreadable = 0

    @property
    def nothing_read(self) -> bool:
        """Whether there were files, and none of them could be read."""
        return self.files > 0 and self._unreadable == self.files

    def add(self, result: Verified) -> None:
        self.files += 1
        self._with_findings += bool(result.findings)
        self._records += result.entries
        self._certainty.update(finding.certainty for finding in result.findings)
        self._states["gone" if result.gone else result.signing.state] += 1
        self._unreadable += any(found.code == "unreadable" and found.layer == "file" for found in result.findings)
        tampered = next((found for found in result.findings if found.certainty == "tampered"), None)
        if tampered is not None and len(self._tampered) < MOST_NAMED:
            self._tampered.append(one_line(tampered.file) + (f":{tampered.line}" if tampered.line else ""))
        elif tampered is not None:
            self._more += 1

    def lines(self, colour: bool) -> list[str]:
        """How many of what, where something was tampered with, and how far all that is signed."""
        lines = [self._total(colour)] if self.files > 1 else []
        if self._tampered and self.files > 1:
            more = [f"and {_number(self._more, 'more file')}"] if self._more else []
            label = f"{COLOURS['tampered']}Tampered{PLAIN}" if colour else "Tampered"
            lines.append(f"{label}: {', '.join([*self._tampered, *more])}")
        if gone := self._states["gone"]:
            lines.append(f"Gone: {self._of(gone)}, of which nothing but checkpoints is here.")
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
        if self._states["signed"] or self._states["partly signed"]:
            lines.append(NOT_COMPLETE)
        return lines

    def _total(self, colour: bool) -> str:
        count = sum(self._certainty.values())
        found = "nothing found"
        if count:
            told = [(name, f"{self._certainty[name]} {name}") for name in CERTAINTIES if self._certainty[name]]
            sure = ", ".join(f"{COLOURS[name]}{text}{PLAIN}" if colour else text for name, text in told)
            found = f"{_number(count, 'finding')} in {_number(self._with_findings, 'file')} ({sure})"
        return f"{_number(self.files, 'file')}, {_number(self._records, 'record')}: {found}."

    def _of(self, count: int) -> str:
        return _number(count, "chain") if count == self.files else f"{count} of {self.files} chains"

    def _source(self) -> str:
        return one_line(self._trust.source) if self._trust is not None else "nobody"


def result_line(result: Verified, colour: bool) -> str:
    """What was checked in one file, and how it came out."""
    found = _found(result.findings, colour)
    if result.gone:
        return f"{one_line(result.file)}: {found}, gone"
    signing = {
        "signed": ", signed",
        "partly signed": f", signed up to record {result.signing.entries}",
        "not checked": ", signatures not checked",
    }.get(result.signing.state, "")
    state = "closed" if result.closed else "open"
    return f"{one_line(result.file)}: {found}, {_number(result.entries, 'record')}, {state}{signing}"


def seals_lines(log: Log, findings: list[Finding], colour: bool) -> list[str]:
    """What the seals are, and what was found in them and not found of what they name."""
    found = _found(findings, colour)
    state = {"not checked": "signatures not checked"}.get(log.state, log.state)
    newest = f", the newest of {log.last.seal.time}" if log.last is not None else ""
    line = f"{one_line(log.place)}: {found}, {_number(len(log.seals), 'seal')}, {state}{newest}"
    return [line, *(finding_line(each, log.place, colour=colour) for each in findings)]


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


def _found(findings: Sequence[Finding], colour: bool) -> str:
    """How many, coloured by the surest of them."""
    found = _number(len(findings), "finding") if findings else "ok"
    if not colour:
        return found
    surest = min((finding.certainty for finding in findings), key=CERTAINTIES.index, default=None)
    return f"{COLOURS[surest] if surest else _GREEN}{found}{PLAIN}"


def _number(count: int, what: str) -> str:
    return f"{count} {what}{'' if count == 1 else 's'}"
