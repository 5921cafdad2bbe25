"""Whoever can write a ledger chooses its texts: nothing in the report may run, hide, or break, whatever they are."""

from __future__ import annotations

import json
import random
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from ledger_samples import records, relinked
from ledger_site import Scribe, Signer, job_of, write_job
from playwright.sync_api import Browser, Page
from report_browser import chromium, fresh, opened, visit

from stepcreds.ledger.reading import read_chain
from stepcreds.report.html.contents import contents
from stepcreds.report.html.page import page as html_page
from stepcreds.report.html.writing import write
from stepcreds.review.dossier import Dossier, read
from stepcreds.review.sources import local

NOW = 1_795_336_000.0
PAYLOADS = (
    "</script><script>window.hit = 1</script>",
    "\"><img src=x onerror='window.hit = 2'>",
    "'><svg onload=window.hit=3>",
    "<!--<script>",
    "</style><style>*{display:none}</style>",
    "</title></head><iframe src=javascript:window.parent.hit=4>",
    "javascript:window.hit=5//",
    "{{ 7 * 7 }}{% raw %}",
    "&lt;b&gt;&#x202e;",
    "\u202egnp.exe\u2066",
    "\u05e9\u05dc\u05d5\u05dd ",
    "a\x00b\x01\x7f\x9b31m",
    "\x1b[2J\x1b]0;title\x07\r\n",
    "\u2028\u2029\ufeff\u200b\U000e0041",
    "=HYPERLINK(\"http://attacker.invalid\")",
    "\U0001f469\u200d\U0001f469\u200d\U0001f467\U0001f3f4",
    "__proto__",
    "x" * 3000,
    "need=open&q=%00#",
)  # fmt: skip
STRUCTURE = ("schema", "kind", "time", "chain_uid", "prev", "event_uid")
TIMES = ("issue_time", "expire_time", "start", "end")
UNSEEN = r"/[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff]|\u{e0041}/u"
FOREIGN = "img, iframe, object, embed, audio, video, form, base, link, [onerror], [onload], [onclick], [style]"


def hostile(value: Any, name: str = "", *, times: bool = False) -> Any:
    """`value` with something before each text in it, the same for the same text: what belongs together still does."""
    if isinstance(value, dict):
        keep = STRUCTURE if times else (*STRUCTURE, *TIMES)
        return {key: each if key in keep else hostile(each, key, times=times) for key, each in value.items()}
    if isinstance(value, list):
        return [hostile(each, name, times=times) for each in value]
    if not isinstance(value, str):
        return value
    if name == "reason":
        return "y" * 65_536
    return PAYLOADS[zlib.crc32(value.encode()) % len(PAYLOADS)] + value


def write_hostile(folder: Path, seed: int, kind: str, *, times: bool) -> Path:
    chance = random.Random(seed)  # noqa: S311
    scribe = Scribe(job_of(seed, seed, "deploy", NOW), chance, Signer("transit/keys/stepcreds-1"), NOW)
    for _ in write_job(scribe, seed, kind, chance):
        pass
    made = scribe.save(folder)
    changed = [hostile(each, times=times) for each in records(made)]
    for each in changed:
        if each["kind"] == "credential.requested":
            each["declared"]["reason"] = "y" * 65_536
    path = folder / f'{seed}"><img src=x onerror=window.hit=6>\u202e{chr(27)}[31m.jsonl'
    path.write_bytes(relinked(changed, recount=False))
    made.with_suffix(".checkpoints").rename(path.with_suffix(".checkpoints"))
    made.unlink()
    return path


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as started:
        yield started


@pytest.fixture(scope="module")
def dossier(tmp_path_factory: pytest.TempPathFactory) -> Dossier:
    """`PAYLOADS` in all fields of real records; in every second chain also where times belong."""
    folder = tmp_path_factory.mktemp("hostile")
    kinds = ("overlapping", "leaked", "shared", "warned", "unproven", "open", "left", "expired", "not issued", "proven")
    files = [write_hostile(folder, seed, kind, times=seed % 2 == 1) for seed, kind in enumerate(kinds)]
    (folder / "20.jsonl").write_bytes(b"<script>window.hit=7</script>\n\xff\xfe\x00" + b"z" * 400_000)
    return read(local([*files, folder / "20.jsonl", folder / "<b>gone.jsonl"]))


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory, dossier: Dossier) -> Path:
    file = tmp_path_factory.mktemp("report") / "report.html"
    said = contents(dossier, lambda _chapter, _credential: True)
    title = "".join(PAYLOADS)[:4000] + "\ud800"
    write(file, html_page(said, trust=None, now=NOW, title=title, selection=PAYLOADS[0]), force=False)
    return file


@pytest.fixture(scope="module")
def window(browser: Browser, report: Path) -> Iterator[Page]:
    with opened(browser, report) as page:
        yield page


@pytest.fixture
def page(window: Page) -> Page:
    return fresh(window)


def assert_harmless(page: Page) -> None:
    assert page.evaluate("window.hit") is None
    assert page.evaluate("({}).polluted === undefined && Object.keys(Object.prototype).length") == 0
    assert page.locator(FOREIGN).count() == 0
    assert page.locator("script:not([type='application/json'])").count() == 1
    assert page.locator("style").count() == 1
    assert page.evaluate(f"document.body.innerText.match({UNSEEN})") is None
    assert page.evaluate("document.documentElement.scrollWidth - innerWidth") <= 0


def test_hostile_texts_are_text_wherever_they_are_shown(page: Page) -> None:
    assert_harmless(page)
    assert page.evaluate("ROWS.length") > 20
    # None of the payloads is missing from what the page holds.
    held = page.evaluate(
        "JSON.stringify([DATA, ...[...document.querySelectorAll('[id^=records-]')].map((each) => JSON.parse(each.textContent))])"
    )
    assert [text for text in PAYLOADS if json.dumps(text, ensure_ascii=False)[1:-1][:200] not in held] == []
    for fold in page.locator("#attention details > summary, #findings details > summary").all():
        fold.click()
    # Every credential is opened, and every record of it.
    page.evaluate("go({ open: ROWS.map((row) => row.uid).filter((uid) => !uid.includes(',')).join(',') })")
    page.evaluate("document.querySelectorAll('#list details').forEach((fold) => { fold.open = true; })")
    page.wait_for_function("[...document.querySelectorAll('#list details pre')].every((each) => each.firstChild)")
    assert page.locator("#list tr.detail").count() > 10
    assert page.locator("#page-on").count() == 0
    assert_harmless(page)
    page.set_viewport_size({"width": 400, "height": 1000})
    assert_harmless(page)
    # And every run, large.
    for run in page.evaluate("[...RUNS.keys()]"):
        page.evaluate("(run) => go({ ...EMPTY, run })", run)
        assert page.locator("#runs .lanes").count() == 1
        assert_harmless(page)


def test_the_address_is_no_way_in(browser: Browser, report: Path, page: Page) -> None:
    fragments = (
        "#q=%3Cimg%20src%3Dx%20onerror%3Dwindow.hit%3D1%3E&open=%3Cscript%3E&need=__proto__&sort=constructor",
        "#need=constructor&page=-1&runs=NaN&from=x&to=%00&repo=%3Cb%3E&sort=-__proto__",
        "#__proto__[polluted]=1&open=,,,&page=1e999",
        "#%",
    )
    with opened(browser, report, fragments[0]) as first:
        assert_harmless(first)
        assert first.locator("#status").inner_text() != ""
    for fragment in fragments:
        visit(page, fragment)
        assert_harmless(page)
        assert page.locator("#status").inner_text() != ""


def test_a_record_with_hostile_texts_is_shown_whole(page: Page, dossier: Dossier) -> None:
    chapter = dossier.chapters[0]
    found = read_chain(chapter.source.path).credentials[0]
    page.evaluate("(uid) => go({ open: uid })", found.credential_uid)
    fold = page.locator("#list tr.detail details").first
    fold.locator("summary").click()
    assert json.loads(fold.locator("pre").inner_text()) == found.requested


def test_what_is_copied_cannot_steer_a_terminal(page: Page) -> None:
    page.evaluate(
        "go({ open: ROWS.filter((row) => !row.uid.includes(',')).slice(0, 12).map((row) => row.uid).join(',') })"
    )
    page.bring_to_front()
    copied = page.evaluate(
        """async () => {
          const texts = [];
          for (const button of document.querySelectorAll("#list .copy")) {
            byId("status").textContent = "";
            const said = new Promise((done) => new MutationObserver(() => done(byId("status").textContent))
              .observe(byId("status"), { childList: true }));
            button.click();
            texts.push([await said, await navigator.clipboard.readText()]);
          }
          return texts;
        }"""
    )
    assert len(copied) > 60
    assert {said for said, _ in copied} == {"Copied."}
    assert page.evaluate(f"(texts) => texts.filter(([, text]) => text.match({UNSEEN}))", copied) == []


def test_nothing_of_a_ledger_ends_its_block_of_data(report: Path) -> None:
    text = report.read_text(encoding="utf-8")
    blocks = text.split('<script type="application/json"')[1:]
    for block in blocks:
        data = block.partition(">")[2].partition("</script>")[0]
        assert "<" not in data
        assert data.isascii()
        json.loads(data)
