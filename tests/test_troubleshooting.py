"""Every error that names a section of docs/troubleshooting.md names one that is there."""

from __future__ import annotations

import re
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parent.parent
SECTIONS = re.findall(r'<a id="([a-z0-9-]+)"></a>', (REPOSITORY / "docs/troubleshooting.md").read_text())
SOURCES = "".join(path.read_text() for path in sorted((REPOSITORY / "src/stepcreds").rglob("*.py")))
# As a keyword; and in the tables of `vault`, where the anchor is a text of its own.
NAMED = re.compile(r'docs="([a-z0-9-]+)"|"((?:login|vault|issue)-[a-z-]+)"')


def test_every_section_that_an_error_names_is_there() -> None:
    named = {keyword or entry for keyword, entry in NAMED.findall(SOURCES)}
    assert len(named) > 50
    assert named - set(SECTIONS) == set()


def test_every_section_is_one_that_an_error_names() -> None:
    assert [section for section in SECTIONS if f'"{section}"' not in SOURCES] == []


def test_no_section_is_there_twice() -> None:
    assert sorted(SECTIONS) == sorted(set(SECTIONS))
