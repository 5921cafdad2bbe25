"""What the head of the report says of ledgers and credentials: what alarms, what is worth knowing, and what is signed."""

from __future__ import annotations

from pathlib import Path

import pytest
from ledger_site import Site, make_site

from stepcreds.ledger import checkpoint
from stepcreds.ledger.chain import Finding
from stepcreds.report.html.contents import Contents, contents
from stepcreds.report.html.page import summary
from stepcreds.report.html.signatures import Statement, statement
from stepcreds.review.dossier import read
from stepcreds.review.sources import Source, local
from stepcreds.trust.file import load_trust
from stepcreds.trust.keys import Trust

EXAMPLE = Path(__file__).parents[2] / "examples/ledger"
INCOMPLETE = (
    "Signed does not mean complete. No seals were given (--seals): what was cut or removed together with its checkpoints "
    "leaves no trace here. Vault's audit log knows (ledger reconcile)."
)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Site:
    return make_site(tmp_path_factory.mktemp("site"), 3, 4)


def told(sources: list[Source], trust: Trust) -> tuple[Contents, Statement]:
    said = contents(read(sources, trust), lambda _chapter, _credential: True)
    return said, statement(said.chapters, trust, gone=said.gone)


def test_a_table_that_is_gone_alarms_and_an_excess_that_no_command_had_does_not() -> None:
    """On the ledger of a real run of the demo."""
    said, head = told(local(sorted(EXAMPLE.glob("*.jsonl"))), load_trust(EXAMPLE / "stepcreds-trust.json"))
    assert [(row["step"], row["kinds"]) for row in said.rows] == [
        ("migrate", []),
        ("verify", []),
        ("verify", ["refused"]),
        ("tidy", ["gone"]),
    ]
    assert said.alarming == 1
    tidy = said.rows[-1]
    assert tidy["gone"] == "the table app.staging_returns is gone"
    assert "app.staging_returns" in tidy["ids"]  # a search for the table finds who was there
    assert (head.tone, head.headline, head.sentences[-1]) == ("good", "Signed", INCOMPLETE)


def test_an_excess_alarms_where_a_command_had_it_or_the_ledger_was_changed(site: Site, tmp_path: Path) -> None:
    trust = load_trust(site.trust)
    kinds = {row["uid"]: row["kinds"] for row in told(local(site.chains), trust)[0].rows}
    [kept_back], [had] = site.kinds["excess"], site.kinds["warned"]
    assert ("refused" in kinds[kept_back], "excess" in kinds[kept_back]) == (True, False)
    assert ("refused" in kinds[had], "excess" in kinds[had]) == (False, True)
    chain = next(each for each in site.chains if kept_back in each.read_text())
    changed = tmp_path / chain.name
    changed.write_bytes(chain.read_bytes().replace(b'"profile":"migrate"', b'"profile":"migratx"', 1))
    checkpoint.beside(changed).write_bytes(checkpoint.beside(chain).read_bytes())
    said, head = told(local([changed]), trust)
    [row] = [row for row in said.rows if row["uid"] == kept_back]
    assert {"excess", "doubt"} <= set(row["kinds"])
    assert (head.tone, head.headline) == ("bad", "Tampered with")


def test_a_ledger_that_is_gone_is_in_the_headline(site: Site, tmp_path: Path) -> None:
    first, second, *_ = site.chains
    for chain in (first, second):
        (tmp_path / chain.name).write_bytes(chain.read_bytes())
        checkpoint.beside(tmp_path / chain.name).write_bytes(checkpoint.beside(chain).read_bytes())
    (tmp_path / first.name).unlink()
    said, head = told(local([tmp_path / first.name, tmp_path / second.name]), load_trust(site.trust))
    assert (head.tone, head.headline) == ("bad", "1 ledger is gone; what is here: signed")
    [missing] = head.gone
    assert missing.startswith(f"{tmp_path / first.name}: the chain is not here, with ")
    assert said.errors == ()  # nothing is told twice
    assert head.sentences[0] == (
        "Checkpoints are here, and their ledgers are not: those were removed, or not copied. Nothing of what they held is "
        "in this report."
    )
    changed = tmp_path / second.name
    changed.write_bytes(changed.read_bytes().replace(b'"exit_code":0', b'"exit_code":1', 1))
    _, worse = told(local([tmp_path / first.name, changed]), load_trust(site.trust))
    assert (worse.tone, worse.headline) == ("bad", "Tampered with; 1 ledger is gone")
    both = local([tmp_path / first.name, *site.chains[1:]])
    assert told(both, load_trust(site.trust))[1].headline == (
        f"1 ledger is gone; what is here: all {len(site.chains) - 1} ledgers are signed"
    )
    assert summary(said).endswith("; 1 finding of verify; 1 ledger: 1 signed; 1 gone")


def test_what_a_store_says_of_an_object_is_not_held_against_the_version_that_was_read(site: Site) -> None:
    chain = site.chains[1]
    written_over = Finding("store", str(chain), 0, "overwritten", "written over", "tampered")
    said, head = told([Source(str(chain), chain, (written_over,))], load_trust(site.trust))
    assert all("doubt" not in row["kinds"] and row["record"] == "signed" for row in said.rows)
    assert [finding["check"] for finding in said.findings][:1] == ["store/overwritten"]
    assert (head.tone, head.headline) == ("notice", "Signed; 1 ledger was changed in its store")
    assert head.sentences[0] == (
        "1 ledger with findings about the store: what is shown is the oldest version, by its own signatures; the findings "
        "of verify say what came later."
    )


def test_what_nobody_can_tell_of_an_object_alarms_nobody(site: Site) -> None:
    chain = site.chains[1]
    conflict = Finding("store", str(chain), 0, "conflict", "two", "unknown")
    _, head = told([Source(str(chain), chain, (conflict,))], load_trust(site.trust))
    assert (head.tone, head.headline) == ("", "Signed")


def test_the_surest_findings_are_first(site: Site, tmp_path: Path) -> None:
    changed = tmp_path / "changed.jsonl"
    changed.write_bytes(site.chains[0].read_bytes().replace(b'"exit_code":0', b'"exit_code":1', 1))
    said, _ = told(local([*site.chains, changed, tmp_path / "nowhere.jsonl"]), load_trust(site.trust))
    found = [finding["certainty"] for finding in said.findings]
    assert set(found) == {"tampered", "incomplete", "unknown"}
    assert found == sorted(found, key=("tampered", "incomplete", "unknown").index)
