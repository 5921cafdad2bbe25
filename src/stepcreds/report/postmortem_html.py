"""A post-mortem as one HTML file that runs no script and asks no network; every text in it is escaped."""

from __future__ import annotations

from collections.abc import Iterator

from stepcreds import __version__
from stepcreds.report.html.sealed import file_text, policy, rendered
from stepcreds.report.postmortem import Postmortem
from stepcreds.report.postmortem_form import form
from stepcreds.report.postmortem_words import mapped, plain


def html(found: Postmortem) -> Iterator[str]:
    """The file, piece by piece. Raises `UnsupportedError` without the extra `ledger`."""
    page = form(found)
    style = file_text("postmortem.css")
    values = {
        **page._asdict(),
        "title": page.title,
        "plain": plain,
        "parts": parts,
        "style": style,
        "policy": policy(style, []),
        "version": __version__,
    }
    return rendered("postmortem.html.j2", values)


def parts(text: str) -> list[tuple[bool, str]]:
    """`text` in pieces, each with whether it came from outside."""
    pieces: list[tuple[bool, str]] = []

    def outside(part: str) -> str:
        pieces.append((True, part))
        return ""

    def ours(part: str) -> str:
        pieces.append((False, part))
        return ""

    mapped(text, outside, ours)
    return [(is_outside, part) for is_outside, part in pieces if part]
