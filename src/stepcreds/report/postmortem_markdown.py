"""A post-mortem as Markdown that GitHub shows: texts from outside are code, in which nothing is markup; no HTML."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import chain

from stepcreds.report.postmortem import Postmortem
from stepcreds.report.postmortem_form import Form, Line, Person, form
from stepcreds.report.postmortem_words import mapped


def markdown(found: Postmortem) -> str:
    """All of it, with a newline at its end."""
    return "\n".join(_lines(form(found))).rstrip() + "\n"


def code(text: str) -> str:
    """A code span that `text` cannot end, nor any of it mean anything: CommonMark 0.31, 6.1."""
    text = text.replace("\n", " ") or " "
    fence = "`" * (max(map(len, re.findall("`+", text)), default=0) + 1)
    # A space at both ends is taken away again, and parts the fence from a backtick.
    padded = f" {text} " if text.strip() and (text[0] in " `" or text[-1] in " `") else text
    return f"{fence}{padded}{fence}"


def _lines(page: Form) -> Iterator[str]:
    yield from (f"# {_text(page.title)}", "")
    yield from chain.from_iterable((_text(each), "") for each in page.head)
    if page.suspects:
        yield from ("## Who could have done it", "")
        for title, people in page.suspects:
            yield from (f"### {title}", "")
            yield from _people(people)
        yield from ("### Other runs", "")
        yield from _people(page.elsewhere, none=False)
        yield from chain.from_iterable((_text(each), "") for each in page.elsewhere_notes)
    yield from ("## Step by step", "")
    for number, step in enumerate(page.steps, start=1):
        yield from (f"### {number}. {_text(step.title)}", "", _text(step.command), "")
        for question, lines in step.answers:
            yield from (f"**{question}**", "", *map(_item, lines), "")
    yield from ("## Over time", "", *(f"- {_text(each)}" for each in page.over_time), "")
    yield from ("## How far these ledgers are to be believed", "", *(f"- {_text(each)}" for each in page.chains), "")
    yield from ("## What no ledger can tell", "", *(f"- {_text(each)}" for each in page.limits), "")
    yield from ("## The records", "", *(f"{number}. {_text(each)}" for number, each in page.records))


def _people(people: list[Person], *, none: bool = True) -> Iterator[str]:
    if not people and none:
        yield from ("None.", "")
    for number, each in enumerate(people, start=1):
        yield f"{number}. {_text(each.title)}"
        yield from (f"   {_item(line)}" for line in each.lines)
        yield ""


def _item(line: Line) -> str:
    label = f"**{line.label}:** " if line.label else ""
    numbers = ", ".join(map(str, line.records))
    return f"- {label}{_text(line.text)}" + (f" [{numbers}]" if numbers else "")


def _text(text: str) -> str:
    return mapped(text, code, lambda part: re.sub(r"([\\`*<>\[\]])", r"\\\1", part))
