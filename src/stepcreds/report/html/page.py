"""The page: what ledgers say, put into its template with its style and its script; it reads no ledger."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from statistics import median
from typing import Any

from stepcreds import __version__
from stepcreds.clock import rfc3339
from stepcreds.ledger.chain import CERTAINTIES
from stepcreds.measurement import LEVELS
from stepcreds.report.blast_radius import PowerChange, ProfileRadius, Run, blast_radius
from stepcreds.report.html.contents import Contents
from stepcreds.report.html.kinds import KINDS
from stepcreds.report.html.rows import Row
from stepcreds.report.html.sealed import file_text, json_block, policy, rendered
from stepcreds.report.html.signatures import statement
from stepcreds.review.dossier import Chapter
from stepcreds.seals.log import Log
from stepcreds.trust.keys import Trust

SCRIPTS = ("dom.js", "model.js", "timeline.js", "list.js", "main.js")
BLOCK = 100  # credentials whose records stand together, and are parsed when one of them is opened
FIRST, MOST = 20, 200  # findings of verify that are seen at once, and that are in the page at all
FEW = 4  # findings that came or went, in a sentence
_DECLARED = {"read-only": "read", "read-write": "write", "ddl": "ddl"}
_LEGEND = (
    ("proven", "Proven dead", "Solid from its issue to the proof of its death; inside it, darker, its step's command."),
    ("most", "Not proven dead", "Fades to the expiry that is on record: nothing proves that it was dead before."),
    ("unknown", "End unknown", "Dashed: it has no expiry, none is on record, or it was renewed past the one that is."),
    ("overlap", "Overlap", "Hatched: it lived while another step ran its command. Below that step's bar is a line."),
    ("maybe", "Possible overlap", "Dotted: it may have lived then; nothing proves that it was dead."),
    ("none", "Not issued", "A line at the moment at which it was refused."),
    ("", "At most", "No proof of death is on record: the time to its expiry. An expiry is never called revoked."),
    ("", "Unless renewed", "No end is on record, and a lease is renewed while its command runs."),
    ("", "Not measured", "Nobody looked. It does not say that nothing was granted, or that nothing was used."),
    ("", "Signed", "All of its life, from request to end, is within what a key of the trust file signed."),
    ("", "Tampered", "No stepcreds writes that."),
    ("", "Incomplete", "A crash leaves the same."),
    ("", "Unknown", "It cannot be told apart from here."),
)  # fmt: skip


def page(
    contents: Contents,
    *,
    trust: Trust | None,
    now: float,
    title: str,
    seals: Log | None = None,
    selection: str = "",
) -> Iterator[str]:
    """The file, piece by piece. `now` is epoch seconds; `selection` says in words what was left out."""
    style, script = file_text("report.css"), "".join(map(file_text, SCRIPTS))
    rows, chains = contents.rows, contents.chains
    repositories = {chain["repository"] for chain in chains}
    times = [row["time"] for row in rows if row["time"] is not None]
    names = {chapter.view.job.get("repository_id", ""): chain["repository"] for chapter, chain in _pairs(contents)}
    return rendered(
        "report.html.j2",
        {
            "policy": policy(style, [script]),
            "style": style,
            "script": script,
            "version": __version__,
            "title": title,
            "written": _time(now),
            "selection": selection,
            "period": (_time(min(times)), _time(max(times))) if times else None,
            "numbers": {
                "credentials": counted(len(rows), "credential"),
                "repositories": counted(len(repositories), "repository", "repositories"),
                "ledgers": counted(len(chains), "ledger"),
            },
            "signing": statement(contents.chapters, trust, seals, gone=contents.gone),
            "errors": contents.errors,
            "errors_title": f"{counted(len(contents.errors), 'ledger')} could not be read",
            **_attention(contents),
            **_findings(contents),
            "radius": [_radius(each, names) for each in _radii(contents)],
            "legend": _LEGEND,
            "data": {
                "chains": chains,
                "rows": rows,
                "shared": contents.shared,
                "findings": [finding for finding in contents.findings if finding["place"] is not None],
                "kinds": [kind._asdict() for kind in KINDS],
                "block": BLOCK,
            },
            "blocks": [contents.records[start : start + BLOCK] for start in range(0, len(rows), BLOCK)],
        },
    )


def summary(contents: Contents) -> str:
    """What is in the page, in one line."""
    states = Counter(chapter.verified.signing.state for chapter in contents.chapters)
    signed = ", ".join(f"{count:,} {state}" for state, count in states.most_common()) or "none"
    signed += f"; {len(contents.gone):,} gone" if contents.gone else ""
    return (
        f"{counted(len(contents.rows), 'credential')}, {contents.alarming:,} of them in need of attention; "
        f"{counted(len(contents.findings), 'finding')} of verify; {counted(len(contents.chapters), 'ledger')}: {signed}"
    )


def counted(count: int, one: str, many: str = "") -> str:
    return f"{count:,} {one if count == 1 else many or one + 's'}"


def _attention(contents: Contents) -> dict[str, Any]:
    found = [(kind, contents.kinds[kind.key]) for kind in KINDS if contents.kinds[kind.key]]
    others = ", ".join(kind.title.lower() for kind in KINDS if kind.tier == "alarm" and not contents.kinds[kind.key])
    alarms, total = contents.alarming, len(contents.rows)
    absent = f"Not found in any credential: {others}." if others else ""
    if not total:
        absent = "There is no credential on record."
    elif not alarms:
        absent = f"Nothing of this was found in {counted(total, 'credential')}: {others}."
    return {
        "kinds": found,
        "kinds_title": f"{alarms:,} of {counted(total, 'credential')} "
        f"{'needs' if alarms == 1 else 'need'} attention. One credential can be several of these.",
        "absent": absent,
        "headlines": _headlines(contents.rows),
    }


def _headlines(rows: list[Row]) -> list[tuple[str, str]]:
    """Figures of those that were proven dead, and how many those are."""
    held = [row for row in rows if row["how"] != "none"]
    if not held:
        return []
    proven = sum(row["how"] == "proven" for row in held)
    after = sorted(row["after"] for row in held if row["after"] is not None)
    told = [("Proven dead", f"{proven:,} of {len(held):,}")]
    if after:
        told.append(("From the command's end to the proof, median", f"{median(after):.2f} s"))
        told.append(("95 of 100 within", f"{after[min(len(after) - 1, len(after) * 95 // 100)]:.2f} s"))
        told.append(("Longest", f"{after[-1]:.2f} s"))
    return told


def _findings(contents: Contents) -> dict[str, Any]:
    sure = Counter(finding["certainty"] for finding in contents.findings)
    counts = ", ".join(f"{sure[each]:,} {each}" for each in CERTAINTIES if sure[each])
    files = len({finding["file"] for finding in contents.findings})
    found = f"{counted(len(contents.findings), 'finding')} in {counted(files, 'ledger')}: {counts}."
    listed = [
        {**finding, "step": None, "uid": ""}
        if finding["place"] is None
        else {**finding, "step": contents.rows[finding["place"]]["step"], "uid": contents.rows[finding["place"]]["uid"]}
        for finding in contents.findings
    ]
    return {
        "findings_title": found if contents.findings else "Nothing was found.",
        "findings": listed,
        "first": FIRST,
        "most": MOST,
    }


def _radii(contents: Contents) -> list[ProfileRadius]:
    """First those that something narrower is known for, then those whose power changed."""
    credentials = (credential for chapter in contents.chapters for credential in chapter.view.credentials)
    return sorted(blast_radius(credentials), key=lambda radius: (radius.narrower is None, not radius.changes))


def _radius(radius: ProfileRadius, names: Mapping[str, str]) -> dict[str, Any]:
    return {
        "repository": names.get(radius.repository_id, radius.repository_id),
        "profile": radius.profile,
        "runs": f"{len(radius.runs):,}",
        "declared": radius.declared,
        "granted": _measured(radius.granted, radius.granted_runs, len(radius.runs)),
        "used": _measured(radius.used, radius.used_runs, len(radius.runs)),
        "narrower": radius.narrower.text if radius.narrower is not None else "",
        "remarks": [*radius.remarks, *map(_change, radius.changes[-5:])],
        "levels": json_block(
            [
                [_height(_DECLARED.get(run.declared)), _height(run.level), _height(run.used and run.used.level)]
                for run in radius.runs[-MOST:]
            ]
        ),
    }


def _measured(level: str | None, measured: int, runs: int) -> str:
    if level is None:
        return "not measured"
    return level if measured == runs else f"{level} (measured in {measured:,} of {runs:,})"


def _change(change: PowerChange) -> str:
    gained = f"it gained {_some(change.gained)}" if change.gained else ""
    lost = f"it lost {_some(change.lost)}" if change.lost else ""
    what = "; ".join(filter(None, (gained, lost))) or "what changed is beyond the findings on record"
    return f"Since {_when(change.after)}: {what}."


def _when(run: Run) -> str:
    """The time tells apart two steps of one run."""
    time = run.credential.issue_time or run.credential.time
    at = f", {rfc3339(time)[:19].replace('T', ' ')} UTC" if time is not None else ""
    return f"run {run.run_id or 'without a number'}{at}"


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:FEW]) + (f" and {len(names) - FEW} more" if len(names) > FEW else "")


def _height(level: str | None) -> int | None:
    return LEVELS.index(level) if level in LEVELS else None


def _time(epoch: float) -> str:
    return f"{rfc3339(epoch)[:16].replace('T', ' ')} UTC"


def _pairs(contents: Contents) -> Iterator[tuple[Chapter, Row]]:
    return zip(contents.chapters, contents.chains, strict=True)
