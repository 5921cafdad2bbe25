"""The forms in which a secret may appear in a log, one line each, for a CI that hides what it is told to hide."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from urllib.parse import quote

from stepcreds.secret import Secret


def forms(values: Sequence[Secret]) -> Iterator[str]:
    """Each value, each of its lines, and both as a URL has them; none twice.

    Left out are lines of white space or of a single character: to hide them would hide all of the log. A value of
    several lines keeps its line ends; the CI's own file escapes them.
    """
    seen = set()
    for secret in values:
        value = secret.reveal()
        for line in (value, *value.splitlines()):
            if len(line.strip()) < 2:
                continue
            for form in (line, line.strip(), quote(line, safe=""), quote(line.strip(), safe="")):
                if form not in seen:
                    seen.add(form)
                    yield form
