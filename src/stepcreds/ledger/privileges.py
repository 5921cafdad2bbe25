"""What a credential could do, as a record says it, and back from a record for whoever ends what another measured."""

from __future__ import annotations

import math
from collections.abc import Mapping

from stepcreds.ledger.canonical import valid
from stepcreds.measurement import LEVELS, Finding, Measured, Measurement, NotMeasured
from stepcreds.printable import one_line

MOST_FINDINGS = 50  # of a measurement


def privileges(measurement: Measurement) -> dict[str, object]:
    """What the credential could do, as measured. `used` stays None: nobody watched what of it the command used."""
    if isinstance(measurement, NotMeasured):
        return {
            "granted": None,
            "used": None,
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
        "used": None,
        "excess": [each.name for each in measurement.excess[:MOST_FINDINGS]],
        "measured_by": f"{measurement.server} in {math.ceil(measurement.seconds * 1000)} ms",
    }


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
