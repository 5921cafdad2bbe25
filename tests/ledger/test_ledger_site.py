"""The ledgers that tests of reports read: whole, signed, and with in them what they say."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from ledger_site import KINDS, Site, make_site

from stepcreds.errors import LedgerError
from stepcreds.ledger import checkpoint, dsse
from stepcreds.ledger.link import line_hash
from stepcreds.ledger.reading import read_chain
from stepcreds.ledger.view import CredentialView
from stepcreds.review.dossier import Dossier, glance, read
from stepcreds.review.lifetimes import overlaps
from stepcreds.review.sharing import shared
from stepcreds.review.sources import local
from stepcreds.review.verification import verify
from stepcreds.trust.file import load_trust
from stepcreds.trust.keys import of_purpose, signers


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Site:
    return make_site(tmp_path_factory.mktemp("site"), repositories=4, runs=10, signed=3)


@pytest.fixture(scope="module")
def dossier(site: Site) -> Dossier:
    return read(local(site.chains))


def test_there_is_what_it_says(site: Site, dossier: Dossier) -> None:
    views: dict[str, CredentialView] = {view.credential_uid: view for _, view in dossier.credentials}
    assert len(views) == site.steps == len(list(dossier.credentials))
    assert sum(chapter.verified.entries for chapter in dossier.chapters) == site.entries
    assert [kind for kind in KINDS if not site.kinds[kind]] == []

    def of(kind: str) -> list[CredentialView]:
        return [views[uid] for uid in site.kinds[kind]]

    assert {view.verdict for view in of("proven")} == {"proven dead"}
    assert {view.verdict for view in (*of("open"), *of("requested"))} == {"not closed"}
    assert {view.verdict for view in of("unproven")} == {"revoked, not proven"}
    assert {view.verdict[:10] for view in of("expired")} == {"expires at"}
    assert {view.verdict for view in of("not issued")} == {"not issued"}
    assert all(view.leaks for view in of("leaked"))
    assert all(view.left for view in of("left"))
    assert {view.excess for view in (*of("excess"), *of("warned"))} == {("PG.SCHEMA.OWN app",)}
    assert {view.measured_by for view in of("not measured")} == {"not measured: the profile says measure: off"}
    assert {each.credentials[1].credential_uid for each in shared(views.values())} == set(site.kinds["shared"])
    certain = {
        each.credential.credential_uid
        for chapter in dossier.chapters
        for each in overlaps(chapter.view.credentials)
        if each.certain
    }
    assert certain == set(site.kinds["overlapping"])


def test_nothing_is_found_but_what_has_no_end(site: Site, dossier: Dossier) -> None:
    codes = [finding.code for chapter in dossier.chapters for finding in chapter.verified.findings]
    assert codes.count("unclosed") == len(site.kinds["open"]) + len(site.kinds["requested"])
    assert codes.count("unproven") == len(site.kinds["unproven"]) + len(site.kinds["expired"])
    assert set(codes) == {"unclosed", "unproven"}
    assert {chapter.verified.closed for chapter in dossier.chapters} == {True, False}


def test_each_repository_signed_with_its_key(site: Site) -> None:
    keys = of_purpose(load_trust(site.trust), "checkpoint")
    for chain in site.chains:
        lines = chain.read_bytes().splitlines()
        envelopes = checkpoint.beside(chain)
        assert envelopes.exists() == (chain.parent.name != "shop-03")
        for line in envelopes.read_bytes().splitlines() if envelopes.exists() else []:
            envelope = dsse.loads(line)
            said = checkpoint.loads(envelope.payload)
            assert [key.repository_id for key in signers(envelope, checkpoint.PAYLOAD_TYPE, keys)] == [
                said.repository_id
            ]
            assert said.head == line_hash(lines[said.size - 1])


def test_one_seed_makes_one_site(site: Site, tmp_path: Path) -> None:
    again = make_site(tmp_path, repositories=4, runs=10, signed=3)
    assert [chain.read_bytes() for chain in again.chains] == [chain.read_bytes() for chain in site.chains]


def test_one_reading_of_each_file_says_what_two_say(site: Site, dossier: Dossier, tmp_path: Path) -> None:
    """In this process and in others, with what a hundred findings leave unchecked, and why there is nothing of a file."""
    long = tmp_path / "long.jsonl"
    first, *others = site.chains[0].read_bytes().splitlines(keepends=True)
    long.write_bytes(first + b"{}\n" * 150 + b"".join(others) + b"torn")
    sources = local([*site.chains, long, tmp_path / "gone.jsonl", tmp_path])
    for processes in (1, 2):
        looked = list(verify(sources, look=lambda _, verified, view: (verified.entries, view), processes=processes))
        seen = [each.seen for each in looked]
        assert seen[:-3] == [(chapter.verified.entries, chapter.view) for chapter in dossier.chapters]
        assert [replace(each, seen=None) for each in looked] == list(verify(sources))
        assert seen[-3:] == [(26, read_chain(long)), None, None]  # four findings a line
    *chapters, _, gone, folder = glance(sources, lambda chapter: (chapter.source, chapter.view))
    assert [each for _, each in chapters] == [(chapter.source, chapter.view) for chapter in dossier.chapters]
    errors = [each for _, each in (gone, folder) if isinstance(each, LedgerError)]
    assert [error.what for error in errors] == [error.what for error in read(sources).errors] != []
