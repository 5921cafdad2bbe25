"""The little language of `env:` and `files:`: literal text with `{field}` and `{field:form}`; it fills nothing in."""

from __future__ import annotations

from string import Formatter
from typing import Literal, NamedTuple, get_args

Form = Literal["", "url", "base64", "json"]
FORMS: tuple[str, ...] = get_args(Form)


class TemplateError(ValueError):
    """A template that cannot be read; the message is a sentence for the person who wrote it."""


class Part(NamedTuple):
    """Literal text, followed by a field unless `field` is ""."""

    literal: str
    field: str  # "password", "data.password"; "" at the end of the template
    form: str  # one of FORMS


def parse_template(text: str) -> tuple[Part, ...]:
    """The parts of `text`. `{{` and `}}` stand for the braces themselves.

    Raises `TemplateError` for a brace that is not closed, an empty field, a conversion (`!r`), indexing or
    attribute access (both are how `str.format` leaks), and a form that is not one of `FORMS`.
    """
    try:
        pieces = list(Formatter().parse(text))
    except ValueError as error:
        raise TemplateError(f"{error}; a brace that is meant as such is written twice") from None
    parts = []
    for literal, field, form, conversion in pieces:
        if field is None:
            parts.append(Part(literal, "", ""))
            continue
        if not field:
            raise TemplateError("{} names no field; a brace that is meant as such is written twice")
        if conversion is not None or not all(c.isalnum() or c in "_.-" for c in field):
            raise TemplateError(f"{{{field}}} is not a field: letters, digits, '_', '-' and '.' only")
        if form not in FORMS:
            known = ", ".join(f"{{{field}:{known}}}" for known in FORMS if known)
            raise TemplateError(f"{{{field}:{form}}} is not a form: use {{{field}}} or one of {known}")
        parts.append(Part(literal, field, form or ""))
    return tuple(parts)
