"""Ledgers with every kind of record, real and hostile, for the tests of exports."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from ledger_samples import (
    CANARY,
    FAILED,
    NOT_ISSUED,
    STEP,
    UIDS,
    UNPROVEN,
    closed,
    issued,
    leaked,
    open_journal,
    records,
    relinked,
    requested,
)
from report_command import command

from stepcreds.ledger import credential
from stepcreds.measurement import Change

HOSTILE = "\x1b]0;x\x07\r\n::error::\u202e</script><img src=x onerror=1>=cmd|'!A0 ##[group]\x00"


def every_kind(folder: Path) -> Path:
    """A chain with each kind of record and each verdict."""
    journal = open_journal(folder)
    for uid, ending in zip(UIDS, (None, UNPROVEN, FAILED), strict=False):
        journal.append(requested(uid))
        journal.append(issued(uid))
        journal.append(closed(uid) if ending is None else closed(uid, ending))
    journal.append(closed(UIDS[3], NOT_ISSUED, None))
    journal.append(leaked())
    journal.append(credential.left(STEP, UIDS[0], "migrate", [Change("granted", "PUBLIC may SELECT", "PUBLIC")], ""))
    journal.append(credential.token_revoke_failed(STEP, UIDS[0], token_accessor="a", detail="503", expire_time=None))
    with journal.path.open("ab") as file:
        file.write(b"torn")
    journal.close(STEP)
    assert CANARY.encode() not in journal.path.read_bytes()
    return journal.path


def hostile(folder: Path) -> Path:
    """The same, with the hostile text in every field that can hold a text."""
    path = every_kind(folder)
    kept = {"schema", "prev", "chain_uid", "kind", "time", "event_uid"}
    changed = [
        {name: value if name in kept else _evil(value) for name, value in each.items()} for each in records(path)
    ]
    path.write_bytes(relinked(changed, recount=False))
    return path


def odd(folder: Path) -> Path:
    """Records of which nothing but the kind can be believed, and one of a later version."""
    path = every_kind(folder)
    lines: list[dict[str, Any]] = []
    for kind in [*dict.fromkeys(each["kind"] for each in records(path)), "credential.measured", "credential.reborn"]:
        names = sorted({name for each in records(path) if each["kind"] == kind for name in each} - {"kind"})
        lines += [
            {"kind": kind},
            *({"kind": kind, **dict.fromkeys(names, value)} for value in (7, "x", [1, {}], {"job": 1}, None, True)),
        ]
    path.write_text("garbage\n" + "".join(json.dumps(line) + "\n" for line in lines) + "[]\n")
    return path


def export(folder: Path, *arguments: str) -> tuple[int, list[dict[str, Any]], str]:
    run = command(folder, "export", *arguments)
    assert run.stdout.isascii()
    assert "##[" not in run.stdout
    assert not [character for character in run.stdout if not (character.isprintable() or character == "\n")]
    return run.returncode, [json.loads(line) for line in run.stdout.splitlines()], run.stderr


def _evil(value: object) -> object:
    if isinstance(value, str):
        return HOSTILE.replace("\x00", "")
    if isinstance(value, dict):
        return {name: _evil(item) for name, item in value.items()}
    return [_evil(item) for item in value] if isinstance(value, list) else value
