"""The report in a real browser, from the disk and cut off from every network: seen, searched, clicked, typed, printed."""

from __future__ import annotations

import json
import re
import subprocess
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import pytest
from ledger_samples import records
from ledger_site import PROFILES, Site, make_site
from playwright.sync_api import Browser, Page, expect
from report_browser import chromium, complaints, fresh, opened, rows, visit

from stepcreds.ledger.reading import read_chain
from stepcreds.report.html.contents import Contents, contents
from stepcreds.report.html.page import page as html_page
from stepcreds.report.html.rows import Row
from stepcreds.report.html.writing import write
from stepcreds.review.dossier import read
from stepcreds.review.sources import local
from stepcreds.trust.file import load_trust

pytestmark = pytest.mark.timeout(600)


class Report(NamedTuple):
    site: Site
    said: Contents
    file: Path


def report_on(folder: Path, repositories: int, runs: int, signed: int | None = None) -> Report:
    site = make_site(folder, repositories, runs, signed=signed)
    dossier = read(local(site.chains), load_trust(site.trust))
    said = contents(dossier, lambda _chapter, _credential: True)
    file = folder / "a report.html"
    write(file, html_page(said, trust=dossier.trust, now=site.end, title="A bad week"), force=False)
    return Report(site, said, file)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as started:
        yield started


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Report:
    """6 repositories, 5 of them signed; 72 runs."""
    return report_on(tmp_path_factory.mktemp("site"), 6, 12, signed=5)


@pytest.fixture(scope="module")
def window(browser: Browser, report: Report) -> Iterator[Page]:
    """What it asked for, printed or broke while all tests used it is asserted at its end."""
    with opened(browser, report.file) as page:
        yield page


@pytest.fixture
def page(window: Page) -> Page:
    return fresh(window)


def credential(report: Report, kind: str) -> tuple[Path, str]:
    """The first that this happened to, and the file that it is on record in."""
    uid = report.site.kinds[kind][0]
    return next(chain for chain in report.site.chains if uid in chain.read_text()), uid


def status(page: Page) -> str:
    return page.locator("#status").inner_text()


@pytest.mark.parametrize(
    ("kind", "title"),
    [
        ("leaked", "Leaked"),
        ("open", "Open"),
        ("unproven", "Not proven dead"),
        ("overlapping", "Overlapping"),
        ("shared", "Shared"),
        ("warned", "Excess"),
        ("excess", "Excess refused"),
        ("not measured", "Not measured"),
    ],
)
def test_a_count_at_the_top_leads_to_the_credentials_that_it_counts(
    page: Page, report: Report, kind: str, title: str
) -> None:
    line = page.locator("#attention tr", has=page.get_by_role("rowheader", name=title, exact=True))
    count = int(line.locator("a").inner_text())
    line.locator("a").click()
    expect(page.locator("#list tbody tr")).to_have_count(count)
    assert status(page).startswith(f"{count} of {report.site.steps} credentials, ")
    told = report.site.kinds[kind]
    page.locator("#q").fill(told[0])
    expect(page.locator("#list tbody tr")).to_have_count(1)
    assert title in page.locator("#list tbody tr").inner_text()


def test_the_head_says_first_that_ledgers_are_not_signed_and_which_keys_count(page: Page, report: Report) -> None:
    head = page.locator("#attention .signing").first
    assert head.locator("h3").inner_text() == "Unsigned: 12 of 72 ledgers"
    assert (
        "Of 72 ledgers: 60 signed by a key that counts, from the first record to the last that a step signs; "
        f"12 with no signature that counts. Checked against {report.site.trust}."
    ) in head.inner_text()
    head.get_by_role("link", name=f"Keys of {report.site.trust} that may sign ledgers: 5").click()
    assert page.url.endswith("#keys")
    cells = page.locator("#keys tbody tr").first.locator("td").all_inner_texts()
    assert cells == [
        "transit/keys/stepcreds-ledger-9000000:1",
        "https://vault.example.com:8200",
        "9000000",
        "2026-10-23T00:00:00.000Z",
        "still in use",
        "12",
    ]
    figures = page.locator("#attention .figures").inner_text().split("\n")
    issued = report.site.steps - len(report.site.kinds["not issued"])
    dead = issued - sum(len(report.site.kinds[kind]) for kind in ("open", "requested", "unproven", "expired"))
    assert figures[:2] == ["Proven dead", f"{dead} of {issued}"]


def test_a_search_finds_by_every_identifier_and_its_address_finds_the_same_again(
    browser: Browser, page: Page, report: Report
) -> None:
    chain, uid = credential(report, "leaked")
    [found] = [each for each in read_chain(chain).credentials if each.credential_uid == uid]
    for text in (found.lease_id, found.db_user.upper(), uid, found.token_accessor, found.job["commit"] + " leaked"):
        page.locator("#q").fill(text)
        expect(page.locator("#list tbody tr")).to_have_count(1)
        assert rows(page) == [found.step_name]
    page.locator("#q").fill("leaked")
    page.locator("#repo").select_option("acme/shop-00")
    page.get_by_role("button", name="Alive", exact=True).click()
    seen, told, address = rows(page), status(page), page.url
    assert told == "2 of 221 credentials, 2 that need attention."
    with opened(browser, report.file, "#" + address.partition("#")[2]) as second:
        assert (rows(second), status(second)) == (seen, told)
        assert second.locator("#q").input_value() == "leaked"
        assert second.locator("#list th[aria-sort]").get_attribute("aria-sort") == "descending"
        second.get_by_role("button", name="Clear filters").click()
        expect(second.locator("#list tbody tr")).to_have_count(50)
        second.go_back()
        expect(second.locator("#list tbody tr")).to_have_count(2)


def test_a_search_without_a_match_says_so_and_leads_back(page: Page, report: Report) -> None:
    page.locator("#q").fill("no such thing")
    assert page.locator("#list").inner_text().startswith("No credential matches.")
    assert status(page) == "0 of 221 credentials, 0 that need attention."
    page.locator("#list").get_by_role("button", name="Clear filters").click()
    expect(page.locator("#list tbody tr")).to_have_count(50)
    assert page.evaluate("document.activeElement.id") == "q"


@pytest.mark.parametrize(
    ("heading", "falling"), [("Step", False), ("On record", True), ("Alive", True), ("How it ended", False)]
)
def test_a_heading_sorts_both_ways(page: Page, report: Report, heading: str, falling: bool) -> None:
    button = page.locator("#list thead").get_by_role("button", name=heading, exact=True)
    orders = []
    for _ in range(2):
        button.click(timeout=20_000)
        orders.append(page.locator("#list th[aria-sort]").get_attribute("aria-sort"))
        assert page.evaluate("document.activeElement.textContent") == heading
    expected = ["ascending", "descending"]
    assert orders == (expected[::-1] if falling else expected)
    first = page.evaluate("matching().map((row) => [row.step, row.time, row.verdict, row.alive])")
    key = {"Step": 0, "On record": 1, "How it ended": 2, "Alive": 3}[heading]
    values = [row[key] for row in first if row[key] is not None and row[0] in PROFILES]
    assert values == sorted(values, reverse=not falling)
    button.click()
    assert page.locator("#list th[aria-sort]").count() == 0


def test_pages_hold_each_credential_once(page: Page, report: Report) -> None:
    seen = []
    for number in range(1, 6):
        assert f"Page {number} of 5" in page.locator("#list nav").inner_text()
        seen += [button.get_attribute("id") for button in page.locator("#list tbody th button").all()]
        if number < 5:
            page.locator("#page-on").click()
    assert len(seen) == len(set(seen)) == report.site.steps
    assert page.locator("#page-on").is_disabled()


@pytest.mark.parametrize(
    ("kind", "parts", "told"),
    [
        ("proven", ["life", "cap", "command"], "proven dead 20"),
        ("unproven", ["life", "fading", "command"], "not proven dead, expires 20"),
        ("open", ["life", "fading"], "unless it was renewed"),
        ("requested", ["unknown"], "may exist"),
        ("not issued", ["refused"], "not issued"),
        ("overlapping", ["life", "cap", "over"], "overlaps the command of report for "),
    ],
)
def test_a_bar_says_in_its_shape_and_in_words_how_sure_its_end_is(
    page: Page, report: Report, kind: str, parts: list[str], told: str
) -> None:
    _, uid = credential(report, kind)
    run, place = page.evaluate(
        "(uid) => { const row = ROWS.find((each) => each.uid === uid); return [row.run, row.place]; }", uid
    )
    page.evaluate("(run) => go({ run })", run)
    lanes = page.locator("#runs tbody tr:has(svg)")
    order = page.evaluate(
        "(run) => ROWS.filter((row) => row.run === run).sort((a, b) => (a.start ?? a.time) - (b.start ?? b.time)).map((row) => row.place)",
        run,
    )
    bar = lanes.nth(order.index(place)).locator("svg[role=img]")
    classes = [each for rect in bar.locator("> *").all() for each in (rect.get_attribute("class") or "").split()]
    assert set(parts) <= set(classes)
    assert told in (bar.get_attribute("aria-label") or "")


def test_a_credential_that_lived_into_another_step_is_marked_in_both(page: Page, report: Report) -> None:
    _, uid = credential(report, "overlapping")
    visit(page, f"#need=overlapping&q={uid}")
    lanes = page.locator("#runs tbody tr:has(svg)")
    culprit = lanes.filter(has_text="Overlapping")
    expect(culprit).to_have_count(1)
    others = page.locator("#runs tbody tr:has(rect.into)")
    assert others.count() >= 1
    hatched = culprit.locator("rect.over").first.bounding_box()
    below = others.first.locator("rect.into").first.bounding_box()
    assert hatched is not None
    assert below is not None
    # The same moments on one axis: the marks stand below each other.
    assert abs(hatched["x"] - below["x"]) < 2
    assert abs(hatched["width"] - below["width"]) < 2


def test_a_run_is_reached_from_the_list_of_runs_and_left_again(page: Page, report: Report) -> None:
    first = page.locator("#runs tbody th button").first
    name = first.inner_text()
    first.click()
    assert page.locator("#runs h3").inner_text() == name.replace(" run ", ", run ")
    assert "one run only" in status(page)
    page.get_by_role("button", name="All runs").click()
    assert page.locator("#runs h3").inner_text() == "Runs"


def test_a_place_on_the_line_of_a_repository_leads_to_what_was_then(page: Page, report: Report) -> None:
    line = page.locator("#repositories tbody tr").first
    repository = line.locator("th").inner_text()
    line.scroll_into_view_if_needed()
    mark = line.locator("path.alarm").bounding_box()
    assert mark is not None
    page.mouse.click(mark["x"] + 1, mark["y"] + 5)
    assert page.locator("#repo").input_value() == repository
    assert page.locator("#from").input_value() != ""
    assert page.locator("#runs .lanes").count() == 1


def test_a_row_leads_to_its_records_as_they_stand_in_the_file(page: Page, report: Report) -> None:
    chain, uid = credential(report, "leaked")
    mine = [(line, each) for line, each in enumerate(records(chain), 1) if each.get("credential_uid") == uid]
    visit(page, f"#open={uid}")
    detail = page.locator("#list tr.detail")
    assert "Left in GITHUB_ENV, line 3, as DATABASE_URL: taken out." in detail.inner_text()
    assert page.evaluate("document.activeElement.getAttribute('aria-expanded')") == "true"
    folds = detail.locator("details")
    assert folds.count() == len(mine)
    for fold, (line, record) in zip(folds.all(), mine, strict=True):
        fold.locator("summary").click()
        summary = fold.locator("summary").inner_text()
        assert summary.startswith(f"{record['kind']} · line {line} · {record['time']} · signed up to line ")
        assert "by transit/keys/stepcreds-ledger-" in summary
        assert json.loads(fold.locator("pre").inner_text()) == record
    assert str(chain) in detail.inner_text()


def test_what_nobody_measured_is_never_called_unused(page: Page, report: Report) -> None:
    _, uid = credential(report, "not measured")
    visit(page, f"#q={uid}")
    row = page.locator("#list tbody tr")
    assert row.locator("td").nth(2).inner_text() == "read-only → not measured\nused: not measured"
    assert "unused" not in page.content().partition("<script")[0].lower()


@pytest.mark.parametrize(
    ("kind", "told"),
    [
        ("excess", "It could do more than its profile declares: it was ended before its command, which never had it."),
        ("warned", "Its command ran with more than its profile declares."),
    ],
)
def test_an_excess_says_whether_a_command_had_it(page: Page, report: Report, kind: str, told: str) -> None:
    visit(page, f"#open={report.site.kinds[kind][0]}")
    assert told in page.locator("#list tr.detail").inner_text()
    assert "drop the schema app with all that is in it" in page.locator("#list tr.detail").inner_text()


def test_a_copied_identifier_is_the_one_that_is_seen(page: Page, report: Report) -> None:
    chain, uid = credential(report, "leaked")
    [found] = [each for each in read_chain(chain).credentials if each.credential_uid == uid]
    visit(page, f"#open={uid}")
    page.locator("#list dl div", has_text="Lease").get_by_role("button", name="Copy").click()
    expect(page.locator("#status")).to_have_text("Copied.")
    assert page.evaluate("navigator.clipboard.readText()") == found.lease_id


def test_all_of_it_can_be_reached_with_the_keyboard(browser: Browser, report: Report) -> None:
    with opened(browser, report.file) as page:
        page.keyboard.press("Tab")
        assert page.evaluate("document.activeElement.textContent") == "Skip to what needs attention"
        page.keyboard.press("Tab")
        page.keyboard.press("Enter")
        page.keyboard.press("Tab")
        assert page.evaluate("document.activeElement.closest('section').id") == "credentials"
        page.locator("#q").focus()
        page.keyboard.type("leaked")
        assert status(page) == "2 of 221 credentials, 2 that need attention."
        for _ in range(200):
            page.keyboard.press("Tab")
            ring = page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
            assert ring != "none", page.evaluate("document.activeElement.outerHTML.slice(0, 200)")
            if page.evaluate("document.activeElement.closest('#list tbody th') !== null"):
                break
        page.keyboard.press("Enter")
        assert page.evaluate("document.activeElement.getAttribute('aria-expanded')") == "true"
        page.keyboard.press("Tab")
        assert page.evaluate("document.activeElement.closest('.detail') !== null")
        page.keyboard.press("Shift+Tab")
        page.keyboard.press("Enter")
        assert page.evaluate("document.activeElement.getAttribute('aria-expanded')") == "false"


def test_axe_finds_nothing(browser: Browser, report: Report) -> None:
    """On a page with everything open, then with nothing found; light and dark, wide and narrow."""
    _, uid = credential(report, "overlapping")
    with opened(browser, report.file) as page:
        page.evaluate("(uid) => go({ open: uid, run: ROWS.find((row) => row.uid === uid).run })", uid)
        for fold in page.locator("#list details > summary").all():
            fold.click()
        assert complaints(page) == []
        page.emulate_media(color_scheme="dark")
        assert complaints(page) == []
        page.evaluate("go({ ...EMPTY, need: 'any' })")
        page.set_viewport_size({"width": 400, "height": 1000})
        assert complaints(page) == []
        page.locator("#q").fill("no such thing")
        page.emulate_media(color_scheme="light")
        assert complaints(page) == []


def test_the_page_follows_the_system_and_its_own_switch(browser: Browser, report: Report) -> None:
    ground = "getComputedStyle(document.body).backgroundColor"
    with opened(browser, report.file) as page:
        light = page.evaluate(ground)
        switch = page.get_by_role("button", name="Theme: as the system")
        switch.click()
        switch = page.locator("#theme")
        assert (switch.inner_text(), page.evaluate(ground)) == ("Theme: light", light)
        switch.click()
        dark = page.evaluate(ground)
        assert switch.inner_text() == "Theme: dark"
        assert dark != light
    with opened(browser, report.file, dark=True) as page:
        assert page.evaluate(ground) == dark


def test_the_page_is_never_wider_than_its_window(browser: Browser, report: Report) -> None:
    _, uid = credential(report, "overlapping")
    with opened(browser, report.file, f"#open={uid}") as page:
        for width in (400, 1400):
            page.set_viewport_size({"width": width, "height": 1000})
            assert page.evaluate("document.documentElement.scrollWidth") <= width
            # What is said of a profile is in sight, and its row no taller than its words.
            told = page.locator("#radius .told div").first
            told.scroll_into_view_if_needed()
            box, row = told.bounding_box(), page.locator("#radius tr:has(+ .told)").first.bounding_box()
            assert box is not None and row is not None
            assert box["x"] >= 0 and box["x"] + box["width"] <= width
            assert row["height"] < 100


def test_without_javascript_the_summary_and_the_findings_are_there(browser: Browser, report: Report) -> None:
    with opened(browser, report.file, scripts=False) as page:
        text = page.locator("body").inner_text()
        assert "Unsigned: 12 of 72 ledgers" in text
        assert "It was issued or asked for, and no record says how it ended." in text
        assert "8 findings in 8 ledgers: 4 incomplete, 4 unknown." in text
        assert page.locator("#findings tbody tr").count() == 8
        assert "need JavaScript, which this browser does not run" in text
        assert not page.locator("#interactive").is_visible()
        assert page.locator("#radius tbody tr").count() > 0


def test_on_paper_is_every_credential_that_is_asked_for_and_every_finding(
    browser: Browser, report: Report, tmp_path: Path
) -> None:
    chain, uid = credential(report, "leaked")
    with opened(browser, report.file, f"#open={uid}", dark=True) as page:
        page.locator("#list details > summary").last.click()
        page.pdf(path=tmp_path / "report.pdf", prefer_css_page_size=True)
        assert len(rows(page)) == 50  # as before
    text = subprocess.run(
        ["pdftotext", "-layout", tmp_path / "report.pdf", "-"], capture_output=True, text=True, check=True
    ).stdout
    assert 8 < text.count("\f") < 20
    assert "Unsigned: 12 of 72 ledgers" in text
    # What needs attention begins on the first page; whose keys count is on the last.
    first, last = text.partition("\f")[0], text.rstrip("\f").rpartition("\f")[2]
    assert "What needs attention first" in first and "Its command left it in a place that outlives the step." in first
    assert "transit/keys/stepcreds-ledger-9000000:1" in last
    assert text.count("order/unproven") == 4
    # One line for each credential, to its last column.
    assert len(re.findall(r"(?m)^.*\b20\d\d-\d\d-\d\d\b.*→.* (?:signed|unsigned)$", text)) == report.site.steps
    for record in records(chain):
        if record.get("credential_uid") == uid:
            assert f'"prev": "{record["prev"]}"' in text
    assert "Clear filters" not in text


def multiplied(said: Contents, times: int) -> Contents:
    """The same `times` over, each time of other runs, and of 40 repositories together."""
    rows, chains, shared = len(said.rows), len(said.chains), len(said.shared)

    def row(each: Row, number: int) -> Row:
        overlaps = [[place + number * rows, *rest] for place, *rest in each["overlaps"]]
        sharing = [place + number * shared for place in each["shared"]]
        uid = f"{number:08x}{each['uid'][8:]}" if number else each["uid"]
        ids = [uid, *(text for text in each["ids"] if text != each["uid"])]
        return {
            **each,
            "uid": uid,
            "ids": ids,
            "chain": each["chain"] + number * chains,
            "overlaps": overlaps,
            "shared": sharing,
        }

    def chain(each: Row, number: int) -> Row:
        repository = (int(each["repository"][-2:]) + 6 * number) % 40
        run = str(int(each["run_id"]) + 1000 * number)
        return {**each, "repository": f"acme/shop-{repository:02d}", "run_id": run}

    def group(each: Row, number: int) -> Row:
        return {**each, "places": [place + number * rows for place in each["places"]]}

    every = range(times)
    return replace(
        said,
        chapters=said.chapters * times,
        chains=[chain(each, number) for number in every for each in said.chains],
        rows=[row(each, number) for number in every for each in said.rows],
        records=said.records * times,
        shared=[group(each, number) for number in every for each in said.shared],
        kinds=Counter({kind: count * times for kind, count in said.kinds.items()}),
    )


def test_ten_thousand_steps_are_searched_opened_and_turned_over(
    browser: Browser, report: Report, tmp_path: Path
) -> None:
    said = multiplied(report.said, 47)
    assert len(said.rows) > 10_000
    file = tmp_path / "large.html"
    write(file, html_page(said, trust=None, now=report.site.end, title="A worse week"), force=False)
    with opened(browser, file) as page:
        assert status(page).startswith(f"{len(said.rows):,} credentials, ")
        # What is in the page at once does not grow with what is in the file.
        assert page.evaluate("document.querySelectorAll('*').length") < 10_000
        uid = report.site.kinds["leaked"][-1]
        page.locator("#q").fill(uid)
        assert rows(page) == ["verify"]
        page.locator("#list tbody th button").click()
        assert "Left in GITHUB_ENV" in page.locator("#list tr.detail").inner_text()
        page.get_by_role("button", name="Clear filters").click()
        page.locator("#page-on").click()
        assert "Page 2 of " in page.locator("#list nav").inner_text()
        page.evaluate("go({ page: '100000' })")
        assert page.locator("#page-on").is_disabled()
        page.get_by_role("button", name="All 40 repositories").click()
        expect(page.locator("#repositories tbody tr")).to_have_count(40)
