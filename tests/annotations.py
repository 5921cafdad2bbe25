"""GitHub's annotations and folds in what a step says: each error and warning has the one that says the same."""

from __future__ import annotations

import re


def unannotated(text: str) -> str:
    """`text` without annotations; fails where one does not say what stands above it, is missing, or is in a fold."""
    kept: list[str] = []
    folded = False
    block: list[str] = []  # an error or a warning whose annotation is still to come
    for line in text.splitlines():
        if line.startswith(("::group::", "::endgroup::")):
            assert folded == line.startswith("::endgroup::"), f"{line} in {text}"
            assert not block, f"not annotated: {block}"
            folded = not folded
            kept.append(line)
            continue
        if line.startswith(("::error ", "::warning ")):
            assert (line, folded) == (annotated(block), False), block
            block = []
            continue
        if block and not line.startswith("stepcreds: "):
            block.append(line)
        else:
            assert not block, f"not annotated: {block}"
            block = [line] if line.startswith(("stepcreds: error: ", "stepcreds: warning: ")) else []
        kept.append(line)
    assert (block, folded) == ([], False), f"not annotated or not closed: {text}"
    return "\n".join(kept) + ("\n" if kept and text.endswith("\n") else "")


def annotated(block: list[str]) -> str:
    """The annotation of an error or a warning that stands in the log as `block`."""
    _, level, what = block[0].split(": ", 2)
    text = "\n".join(line.removeprefix("  ") for line in block[1:]) or what
    if level == "warning" and (cut := re.search("[:;] ", what)):
        text = "\n".join([what, text]) if block[1:] else what
        what = what[: cut.start()]
    title = f"stepcreds: {what}"
    title = title if len(title) <= 255 else f"{title[:254]}…"
    return f"::{level} title={_escaped(title).replace(':', '%3A').replace(',', '%2C')}::{_escaped(text)}"


def _escaped(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")
