"""A post-mortem's page in a real browser: nothing is fetched, nothing runs, and everybody can read it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from ledger_site import START, make_site
from playwright.sync_api import Browser, Page
from report_browser import chromium, complaints, opened

from stepcreds.report.postmortem import postmortem
from stepcreds.report.postmortem_html import html
from stepcreds.review.dossier import read
from stepcreds.review.selection import Selection
from stepcreds.review.sources import local
from stepcreds.trust.file import load_trust


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as running:
        yield running


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("postmortem")
    site = make_site(folder, repositories=2, runs=6, every=1)
    dossier = read(local(site.chains), load_trust(site.trust))
    (run,) = {each.job["run_id"] for _, each in dossier.credentials if each.credential_uid in site.kinds["overlapping"]}
    path = folder / "postmortem.html"
    path.write_text("".join(html(postmortem(dossier, Selection(run=run), START + 40.0, "ddl"))), encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def page(browser: Browser, file: Path) -> Iterator[Page]:
    with opened(browser, file) as page:
        yield page


def test_everybody_can_read_it_and_it_asks_for_nothing(page: Page) -> None:
    assert page.locator("h2").all_inner_texts() == [
        "Who could have done it",
        "Step by step",
        "Over time",
        "How far these ledgers are to be believed",
        "What no ledger can tell",
        "The records",
    ]
    assert complaints(page) == []
    page.emulate_media(color_scheme="dark")
    assert complaints(page) == []


def test_a_number_leads_to_its_record(page: Page) -> None:
    page.set_viewport_size({"width": 400, "height": 1000})
    page.get_by_role("link", name="record 3").first.click()
    assert page.url.endswith("#record-3")
    assert page.locator("#record-3").inner_text().endswith(", signed")
    assert page.evaluate("document.documentElement.scrollWidth <= document.documentElement.clientWidth")


def test_it_prints_without_its_navigation(page: Page) -> None:
    page.emulate_media(media="print")
    assert not page.get_by_role("navigation").is_visible()
    assert page.pdf().startswith(b"%PDF")
