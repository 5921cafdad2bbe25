"""What no text that is shown may have in it, and a folder for those that read files."""

from __future__ import annotations

import re
import tempfile
from functools import cache
from pathlib import Path

from stepcreds.ci.github import GitHub
from stepcreds.cli.messages import annotation, render_error
from stepcreds.errors import StepcredsError

UNSEEN = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2060-\u206f\ud800-\udfff]")
COMMAND = re.compile(r"(?im)^\s*::|##(\[|vso|teamcity)")


@cache
def folder() -> Path:
    """A folder of this process alone; it goes with the machine's temporary files."""
    return Path(tempfile.mkdtemp(prefix="stepcreds-fuzz-"))


def shown(error: StepcredsError) -> None:
    """Every error can be shown, steers no terminal and is no command."""
    rendered = render_error(error, colour=False)
    assert not UNSEEN.search(rendered), rendered
    assert not COMMAND.search(rendered), rendered
    annotated = GitHub().annotate(*annotation(rendered))
    assert annotated.count("\n") == 1
    assert len(annotated.split("::")) >= 3
