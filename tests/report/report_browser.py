"""A real browser for pages on the disk, which is cut off from every network and tells of all that it does.

    with chromium() as browser, opened(browser, path, "#need=open", dark=True) as page:
        page.get_by_role("button", name="verify").click()

`opened` fails the test where the page asked for anything but itself, printed to the console, raised an error, broke its
own Content-Security-Policy, or opened a dialog.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from playwright.sync_api import Browser, Page, Playwright, sync_playwright

AXE = Path(__file__).resolve().parents[2] / ".venv/node/node_modules/axe-core/axe.min.js"
VIOLATIONS = """
  window.violations = [];
  document.addEventListener("securitypolicyviolation", (event) => violations.push(`${event.violatedDirective} ${event.blockedURI} ${event.sample}`));
"""


def program() -> str:
    found = shutil.which("chromium") or shutil.which("google-chrome")
    assert found, "a browser is missing: tools/servers installs Debian's chromium"
    return found


@contextmanager
def chromium() -> Iterator[Browser]:
    playwright: Playwright
    with sync_playwright() as playwright:
        # Root, as in a container, has no sandbox of Chromium's.
        browser = playwright.chromium.launch(executable_path=program(), args=["--no-sandbox"], timeout=120_000)
        try:
            yield browser
        finally:
            browser.close()


@contextmanager
def opened(
    browser: Browser,
    file: Path,
    fragment: str = "",
    *,
    dark: bool = False,
    width: int = 1400,
    scripts: bool = True,
) -> Iterator[Page]:
    context = browser.new_context(
        viewport={"width": width, "height": 1000},
        color_scheme="dark" if dark else "light",
        offline=True,
        java_script_enabled=scripts,
        accept_downloads=False,
    )
    context.set_default_timeout(60_000)
    context.grant_permissions(["clipboard-read", "clipboard-write"])
    page = context.new_page()
    asked: list[str] = []
    told: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.on("console", lambda message: told.append(f"{message.type}: {message.text}"))
    page.on("pageerror", lambda error: told.append(f"error: {error}"))
    page.on("dialog", lambda dialog: told.append(f"dialog: {dialog.message}"))
    page.on("dialog", lambda dialog: dialog.dismiss())
    page.on("popup", lambda popup: told.append(f"window: {popup.url}"))
    page.add_init_script(VIOLATIONS)
    try:
        page.goto(file.as_uri() + fragment)
        yield page
        violations = page.evaluate("window.violations") if scripts else []
        assert (told, violations) == ([], []), (told, violations)
        assert {url.partition("#")[0] for url in asked} == {file.as_uri()}, asked
    finally:
        context.close()


def complaints(page: Page) -> list[str]:
    """What axe-core has against the page as it stands: the rule, and where."""
    if not page.evaluate("typeof window.axe === 'object'"):
        page.evaluate(AXE.read_text(encoding="utf-8"))
    found = page.evaluate("""async () => {
      const { violations } = await axe.run(document, { resultTypes: ["violations"] });
      return violations.flatMap((each) => each.nodes.map((node) => `${each.id}: ${node.html.slice(0, 160)} ${node.failureSummary}`));
    }""")
    assert isinstance(found, list)
    return found


def rows(page: Page) -> list[str]:
    """The steps in the list of credentials, as it stands."""
    return page.locator("#list > .wide > table > tbody > tr:not(.detail) > th button").all_inner_texts()


def fresh(page: Page) -> Page:
    """As it was when it was opened, for the next test: opening it anew takes a browser half a second."""
    page.set_viewport_size({"width": 1400, "height": 1000})
    page.evaluate("everyRepository = false; unfolded.clear(); go({ ...EMPTY }); scrollTo(0, 0)")
    return page


def visit(page: Page, fragment: str) -> None:
    """As a link would."""
    page.evaluate(
        """(fragment) => new Promise((done) => {
          addEventListener("hashchange", () => done(), { once: true });
          location.hash = fragment;
        })""",
        fragment,
    )
