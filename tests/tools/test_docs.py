"""The generator of the documentation: it finds links to files and to sections that are not there."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parents[2]
PAGE = """\
# The page
## Two `words`, [a link](other.md) & more
## Ledger
### <a id="given"></a>Ledger
```sh
# no heading
```
"""
LOOK = "import sys; sys.path.insert(0, 'tools'); import docs; from pathlib import Path; "


def tool(program: str) -> str:
    run = subprocess.run(
        [sys.executable, "-c", LOOK + program], cwd=CHECKOUT, capture_output=True, text=True, timeout=60, check=False
    )
    assert run.returncode == 0, run.stderr
    return run.stdout


def test_the_anchors_of_a_page_are_githubs(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(PAGE)
    assert tool(f"print(*sorted(docs.anchors(Path({str(page)!r}))))").split() == [
        "given",
        "ledger",
        "ledger-1",
        "the-page",
        "two-words-a-link--more",
    ]


def test_a_link_to_a_section_that_is_not_there_is_found(tmp_path: Path) -> None:
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "page.md").write_text(PAGE)
    (tmp_path / "README.md").write_text(
        "[a](docs/page.md#given) [b](docs/page.md#gone) [c](gone.md) [d](#gone) [e](https://example.com/#x)\n"
    )
    said = tool(f"docs.REPOSITORY = Path({str(tmp_path)!r}); print(*docs.broken_links(), sep='\\n')")
    assert said.splitlines() == [
        "README.md: docs/page.md#gone",
        "README.md: gone.md",
        "README.md: #gone",
        "docs/page.md: other.md",
    ]
