"""`stepcreds ledger report`: what it writes and where, what it refuses, and how it ends."""

from __future__ import annotations

import base64
import hashlib
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from ledger_site import SEAL_KEY, Signer, Site, make_site
from report_command import command

from manual_clock import ManualClock
from stepcreds.errors import UsageError
from stepcreds.report.html.sealed import rendered
from stepcreds.report.html.writing import write
from stepcreds.review.sources import local
from stepcreds.sealing.making import Order, make
from stepcreds.seals.place import Folder
from stepcreds.trust.file import load_trust

DOCS = "https://github.com/stepcreds/stepcreds/blob/v1/docs/troubleshooting.md"


def report(folder: Path, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
    return command(folder, "report", *map(str, arguments))


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Site:
    """12 jobs of 3 repositories; an excess (refused), a warning, an open one and one that was asked for."""
    return make_site(tmp_path_factory.mktemp("site"), 3, 4)


@pytest.fixture(scope="module")
def clean(tmp_path_factory: pytest.TempPathFactory) -> Site:
    return make_site(tmp_path_factory.mktemp("clean"), 2, 1, every=1000, seed=3)


def test_it_writes_one_file_and_says_what_is_in_it(site: Site, tmp_path: Path) -> None:
    done = report(tmp_path, "--trust", site.trust, site.ledgers)
    assert (done.returncode, done.stderr) == (1, "")
    assert done.stdout == (
        f"ledger-report.html: {site.steps} credentials, 3 of them in need of attention; 2 findings of verify; "
        "12 ledgers: 12 signed\n"
    )
    assert [each.name for each in tmp_path.iterdir()] == ["ledger-report.html"]


def test_it_ends_with_0_where_nothing_needs_attention(clean: Site, tmp_path: Path) -> None:
    # The first job of a site always has one of its kinds.
    done = report(tmp_path, "--trust", clean.trust, *clean.chains[1:])
    assert done.returncode == 0, done.stdout
    text = (tmp_path / "ledger-report.html").read_text()
    assert "<h3>Signed</h3>" in text
    assert re.search(r"Nothing of this was found in \d credentials: leaked, open, not proven dead, overlapping,", text)
    assert "<p>Nothing was found.</p>" in text


def test_without_a_trust_file_no_signature_counts(site: Site, tmp_path: Path) -> None:
    assert report(tmp_path, site.ledgers).stdout.endswith("12 ledgers: 12 not checked\n")
    text = (tmp_path / "ledger-report.html").read_text()
    assert "<h3>Signatures not checked</h3>" in text
    assert "No trust file was given, so no signature counts." in text


def test_without_signatures_it_says_unsigned(site: Site, tmp_path: Path) -> None:
    chain = tmp_path / "chain.jsonl"
    chain.write_bytes(site.chains[0].read_bytes())
    assert report(tmp_path, "--trust", site.trust, chain).stdout.endswith("1 ledger: 1 unsigned\n")
    assert "<h3>Unsigned</h3>" in (tmp_path / "ledger-report.html").read_text()


def test_an_earlier_report_is_replaced_and_nothing_else_is(site: Site, tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    report(tmp_path, "--title", "first", "--output", page, site.chains[0])
    assert report(tmp_path, "--title", "second", "--output", page, site.chains[1]).returncode in (0, 1)
    assert "<h1>second</h1>" in page.read_text()
    page.write_text("my notes")
    done = report(tmp_path, "--output", page, site.chains[1])
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == (
        f"stepcreds: error: {page} is there already, and is no report of stepcreds\n"
        "  fix: Name another file with --output, or replace it with --force.\n"
        f"  see: {DOCS}#ledger-report\n"
    )
    assert page.read_text() == "my notes"
    assert report(tmp_path, "--force", "--output", page, site.chains[1]).returncode in (0, 1)
    assert "<!doctype html>" in page.read_text()


def test_what_is_no_file_is_not_replaced_even_by_force(site: Site, tmp_path: Path) -> None:
    target = tmp_path / "target.html"
    report(tmp_path, "--output", target, site.chains[0])
    before = target.read_bytes()
    link = tmp_path / "link.html"
    link.symlink_to(target)
    (tmp_path / "folder").mkdir()
    for name in ("link.html", "folder"):
        done = report(tmp_path, "--force", "--output", name, site.chains[0])
        assert (done.returncode, done.stdout) == (2, "")
        assert done.stderr == (
            f"stepcreds: error: {name} is there already, and is no report of stepcreds\n"
            "  fix: Name another file with --output.\n"
            f"  see: {DOCS}#ledger-report\n"
        )
    assert target.read_bytes() == before


def test_a_place_that_cannot_be_written_is_a_usage_error(site: Site, tmp_path: Path) -> None:
    done = report(tmp_path, "--output", "nowhere/page.html", site.chains[0])
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == (
        "stepcreds: error: The report cannot be written to nowhere/page.html: No such file or directory\n"
        "  fix: Name another file with --output, or a folder that this user may write to.\n"
        f"  see: {DOCS}#ledger-report\n"
    )


def test_what_ends_in_the_middle_leaves_the_earlier_report_and_nothing_beside_it(tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    page.write_text('<meta name="generator" content="stepcreds 1 ledger report">')

    def pieces(error: BaseException) -> Iterator[str]:
        yield "half"
        raise error

    with pytest.raises(KeyboardInterrupt):
        write(page, pieces(KeyboardInterrupt()), force=False)
    with pytest.raises(UsageError) as told:
        write(page, pieces(OSError(28, "No space left on device")), force=False)
    assert told.value.what == f"The report cannot be written to {page}: No space left on device"
    assert [each.name for each in tmp_path.iterdir()] == ["page.html"]
    assert page.read_text() != "half"


def test_it_goes_to_standard_output_with_its_summary_beside(site: Site, tmp_path: Path) -> None:
    done = report(tmp_path, "--output", "-", "--trust", site.trust, site.ledgers)
    assert done.stdout.startswith("<!doctype html>\n")
    assert done.stdout.endswith("</html>")
    assert done.stderr.startswith(f"standard output: {site.steps} credentials, ")
    assert list(tmp_path.iterdir()) == []


def test_a_job_of_which_one_credential_is_asked_for_is_there_as_a_whole(site: Site, tmp_path: Path) -> None:
    done = report(tmp_path, "--run", "50000003", "--step", "verify", "--trust", site.trust, site.ledgers)
    chain = next(each for each in site.chains if each.name.startswith("50000003"))
    credentials = chain.read_text().count('"kind":"credential.requested"')
    assert done.stdout.startswith(f"ledger-report.html: {credentials} credentials, ")
    assert " Only run 50000003, step verify." in (tmp_path / "ledger-report.html").read_text()


def test_nothing_that_is_asked_for_is_an_empty_report(site: Site, tmp_path: Path) -> None:
    done = report(tmp_path, "--run", "no-such", "--trust", site.trust, site.ledgers)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == (
        "ledger-report.html: 0 credentials, 0 of them in need of attention; 0 findings of verify; 0 ledgers: none\n"
    )
    assert "There is no credential on record." in (tmp_path / "ledger-report.html").read_text()


def test_no_ledger_at_all_is_a_usage_error(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    done = report(tmp_path, "empty")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == (
        "stepcreds: error: There is no ledger to report on\n"
        "  cause: No step has written one yet, or it was removed.\n"
        "  fix: Name the files or folders: stepcreds ledger report PLACES\n"
        f"  see: {DOCS}#ledger\n"
    )
    assert not (tmp_path / "ledger-report.html").exists()


def test_a_chain_that_is_gone_is_told_of_by_its_checkpoints(site: Site, tmp_path: Path) -> None:
    chain = site.chains[0]
    (tmp_path / "ledgers").mkdir()
    (tmp_path / "ledgers" / chain.with_suffix(".checkpoints").name).write_bytes(
        chain.with_suffix(".checkpoints").read_bytes()
    )
    done = report(tmp_path, "--trust", site.trust, "ledgers")
    assert done.returncode == 1
    assert done.stdout.endswith("; 1 finding of verify; 0 ledgers: none; 1 gone\n")
    text = (tmp_path / "ledger-report.html").read_text()
    assert "could not be read" not in text
    assert text.count('<div class="signing') == 1
    assert '<div class="signing bad">\n<h3>1 ledger is gone</h3>' in text
    assert "No ledger here" not in text
    assert "the chain is not here, with " in text
    assert "<code>checkpoint/orphan</code>" in text


def test_a_ledger_that_was_removed_as_a_whole_is_missed_by_the_seals(tmp_path: Path) -> None:
    site = make_site(tmp_path, 2, 1)
    seals, trust = tmp_path / "seals", load_trust(site.trust)
    seals.mkdir()
    order = Order(local(site.chains), Folder(seals), trust, False)
    [made] = make(order, Signer(SEAL_KEY, 1).envelope, ManualClock(site.end))
    for each in (site.chains[0], site.chains[0].with_suffix(".checkpoints")):
        each.unlink()
    before = report(tmp_path, "--trust", site.trust, site.ledgers)
    assert "; 0 findings of verify; 1 ledger: 1 signed\n" in before.stdout
    assert "No seals were given (--seals): " in (tmp_path / "ledger-report.html").read_text()
    done = report(tmp_path, "--trust", site.trust, "--seals", seals, site.ledgers)
    assert done.returncode == 1
    assert "; 1 finding of verify; 1 ledger: 1 signed\n" in done.stdout
    text = (tmp_path / "ledger-report.html").read_text()
    assert f"Held against the seals in {seals}: the newest that counts is of {made.seal.time}." in text
    assert "<code>seal/deleted</code>" in text


def test_a_changed_line_is_named_with_its_credential(site: Site, tmp_path: Path) -> None:
    chain = tmp_path / "chain.jsonl"
    chain.write_bytes(site.chains[1].read_bytes().replace(b'"exit_code":0', b'"exit_code":1', 1))
    chain.with_suffix(".checkpoints").write_bytes(site.chains[1].with_suffix(".checkpoints").read_bytes())
    report(tmp_path, "--trust", site.trust, chain)
    text = (tmp_path / "ledger-report.html").read_text()
    assert "<h3>Tampered with</h3>" in text  # whatever was signed before
    assert "The findings of verify say what was changed. A signature stands for what it was made over" in text
    assert "Record in doubt" in text
    assert re.search(r"chain/prev</code></td><td class=.file.><code>[^<]*/chain\.jsonl:5</code></td><td><a href=", text)


def test_only_its_own_style_and_script_are_let_run(site: Site, tmp_path: Path) -> None:
    report(tmp_path, site.chains[0])
    text = (tmp_path / "ledger-report.html").read_text()
    [policy] = re.findall(r'http-equiv="Content-Security-Policy" content="([^"]*)"', text)
    [style], [script] = re.findall(r"(?s)<style>(.*?)</style>", text), re.findall(r"(?s)<script>(.*?)</script>", text)

    def source(part: str) -> str:
        return f"&#39;sha256-{base64.b64encode(hashlib.sha256(part.encode()).digest()).decode()}&#39;"

    assert policy == (
        f"default-src &#39;none&#39;; style-src {source(style)}; script-src {source(script)}; base-uri &#39;none&#39;; "
        "form-action &#39;none&#39;; require-trusted-types-for &#39;script&#39;; trusted-types &#39;none&#39;"
    )
    # Nothing is fetched: no address but those of what somebody has on record.
    assert not re.search(r'(?:src|href)="(?!#)', text)
    assert "http" not in re.sub(r"http-equiv|http://www\.w3\.org/2000/svg", "", style + script)


def test_a_missing_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "jinja2", None)  # an import of it raises ImportError
    with pytest.raises(UsageError) as told:
        rendered("report.html.j2", {})
    assert (told.value.what, told.value.cause, told.value.fix, told.value.docs) == (
        "A page of HTML cannot be written: jinja2 is not installed",
        "stepcreds was installed without its `ledger` extra, which a step does not need.",
        "pip install 'stepcreds[ledger]'",
        "ledger-extra",
    )


def test_what_a_report_needs_is_not_imported_for_its_help(tmp_path: Path) -> None:
    code = (
        "import sys; sys.argv = ['stepcreds', 'ledger', 'report', '--help']\n"
        "from stepcreds.cli import main\n"
        "try:\n    main()\n"
        "except SystemExit: pass\n"
        "print([name for name in ('jinja2', 'cryptography', 'duckdb', 'fsspec') if name in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, timeout=120, check=True
    )
    assert done.stdout.splitlines()[-1] == "[]"
