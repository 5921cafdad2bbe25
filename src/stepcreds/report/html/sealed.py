"""A page that asks no network and runs nothing but its own script, whatever the text in it is; it knows no ledger.

Markup of texts is Jinja's to escape. Data goes into a block of JSON, which a script reads and shows as text.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from importlib.resources import files
from typing import TYPE_CHECKING

from stepcreds.extras import missing
from stepcreds.printable import one_line

if TYPE_CHECKING:
    from jinja2 import Environment

PACKAGE = "stepcreds.report.html"
CELL = 300  # characters of a text from outside; the records have all of it


def file_text(name: str) -> str:
    """A file of the page: its template, its style, its script."""
    return (files(PACKAGE) / "page" / name).read_text(encoding="utf-8")


def policy(style: str, scripts: Sequence[str]) -> str:
    """The Content-Security-Policy of a page with this one style sheet and these scripts, to the letter.

    Nothing is fetched, no attribute is a script or a style, and no text is ever parsed as markup once the page stands
    (Trusted Types without any policy, in browsers that know them).
    """
    script = " ".join(map(_source, scripts)) or "'none'"
    return (
        f"default-src 'none'; style-src {_source(style)}; script-src {script}; base-uri 'none'; form-action 'none'; "
        "require-trusted-types-for 'script'; trusted-types 'none'"
    )


def json_block(value: object) -> str:
    """`value` for a `<script type="application/json">`: in ASCII, and without the character that could end it."""
    text = json.dumps(value, ensure_ascii=True, allow_nan=False, separators=(",", ":"))
    return text.replace("<", "\\u003c")


def rendered(template: str, values: Mapping[str, object]) -> Iterator[str]:
    """The page, piece by piece. Raises `UsageError` without the extra `ledger`."""
    return _environment().from_string(file_text(template)).generate(values)


def _environment() -> Environment:
    try:
        from jinja2 import Environment, StrictUndefined
        from markupsafe import Markup
    except ImportError:
        raise missing("jinja2", "A page of HTML cannot be written") from None
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    environment.filters["shown"] = lambda text: one_line(str(text), CELL)
    environment.filters["block"] = lambda value: Markup(json_block(value))  # noqa: S704 - see `json_block`
    environment.filters["own"] = Markup  # files of this package, and nothing else
    return environment


def _source(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"
