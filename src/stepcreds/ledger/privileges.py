"""What a credential could do, as a record says it, and back from a record for whoever ends what another measured."""

from __future__ import annotations

import math
from collections.abc import Mapping

from stepcreds.ledger.canonical import MAX_INTEGER, valid
from stepcreds.measurement import LEVELS, Finding, Measured, Measurement, NotMeasured, Statements, Used
from stepcreds.printable import one_line

MOST_FINDINGS = 50  # of a measurement
MOST_STATEMENTS = 50  # kinds of them, of what was used


def privileges(measurement: Measurement, used: Used | None = None) -> dict[str, object]:
    """What the credential could do, as measured, and what of it was used; None where nobody looked at either."""
    if isinstance(measurement, NotMeasured):
        return {
            "granted": None,
            "used": used_record(used),
            "excess": None,
            "measured_by": f"not measured: {one_line(measurement.reason)}",
        }
    return {
        "granted": {
            "level": measurement.level,
            "digest": measurement.digest,
            "findings": [_finding(each) for each in measurement.findings[:MOST_FINDINGS]],
            "more": max(0, len(measurement.findings) - MOST_FINDINGS),
        },
        "used": used_record(used),
        "excess": [each.name for each in measurement.excess[:MOST_FINDINGS]],
        "measured_by": f"{measurement.server} in {math.ceil(measurement.seconds * 1000)} ms",
    }


def used_record(used: Used | None) -> dict[str, object] | None:
    """`complete` is false as long as nothing counts all that a command did."""
    if used is None:
        return None
    return {
        "level": used.level,
        "statements": [
            {
                "kind": one_line(each.kind),
                "calls": _count(each.calls),
                "rows": _count(each.rows),
                "role": one_line(each.role),
            }
            for each in used.statements[:MOST_STATEMENTS]
        ],
        "roles": [one_line(role) for role in used.roles],
        "by": used.by,
        "complete": False,
        "gaps": [one_line(gap) for gap in used.gaps],
    }


def _count(number: int) -> int:
    """What a server counted, as a record can hold it: an end that cannot be written down would be the worse."""
    return max(0, min(number, MAX_INTEGER))


def used_of(said: Mapping[str, object]) -> Used | None:
    """What a record's privileges say of what was used; None: not measured. Nothing is taken for less than it may be."""
    used = said.get("used")
    level = used.get("level") if isinstance(used, dict) else None
    if not isinstance(used, dict) or not isinstance(level, str):
        return None
    statements = used.get("statements")
    return Used(
        next((each for each in LEVELS if each == level), "admin"),
        tuple(_statements_of(each) for each in statements if isinstance(each, dict))
        if isinstance(statements, list)
        else (),
        _texts(used.get("roles")),
        by if isinstance(by := used.get("by"), str) else "",
        _texts(used.get("gaps")),
    )


def _texts(said: object) -> tuple[str, ...]:
    return tuple(each for each in said if isinstance(each, str)) if isinstance(said, list) else ()


def _statements_of(said: Mapping[str, object]) -> Statements:
    kind, role = (value if isinstance(value := said.get(name), str) else "" for name in ("kind", "role"))
    calls, rows = (value if type(value := said.get(name)) is int else 0 for name in ("calls", "rows"))
    return Statements(kind or "other", calls, rows, role)


def measurement_of(said: Mapping[str, object]) -> Measured | None:
    """What `privileges` wrote down, as far as it did; None where that says that nobody looked, or is not to be read."""
    granted, who = said.get("granted"), str(said.get("measured_by"))
    server, _, took = who.rpartition(" in ")
    if not isinstance(granted, dict) or not took.removesuffix(" ms").isdigit():
        return None
    findings = granted.get("findings")
    return Measured(
        tuple(_finding_of(each) for each in findings if isinstance(each, dict)) if isinstance(findings, list) else (),
        (),
        server,
        int(took.removesuffix(" ms")) / 1000,
        0,
        0.0,
        str(granted.get("digest")),
    )


def _finding_of(said: Mapping[str, object]) -> Finding:
    texts = {name: text for name, text in said.items() if name in Finding._fields and isinstance(text, str)}
    level = texts.get("level", "")
    count = said.get("count")
    return Finding(**{
        "code": "", "what": "", **texts,
        "level": level if level in LEVELS else "admin",  # of a later version: nothing is taken for less than it may be
        "number": count if isinstance(count, int) else 1,
    })  # type: ignore[arg-type]  # fmt: skip


def _finding(finding: Finding) -> dict[str, object]:
    return {
        "code": finding.code,
        "subject": valid(finding.subject),
        "level": finding.level,
        "what": one_line(finding.what),
        "via": one_line(finding.via),
        "count": finding.number,
        "standing": finding.standing,
        "because": one_line(finding.because),
    }
