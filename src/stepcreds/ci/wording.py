"""How advice is written: values inside a sentence, and lines to paste; it knows no CI."""

from __future__ import annotations

import json
import re

from stepcreds.printable import one_line

_PLAIN = re.compile(r"[A-Za-z][A-Za-z0-9/._~-]*(:[A-Za-z0-9/._~-]+)*")
_TOKEN = re.compile(r"eyJ[\w-]{4,}(\.[\w-]*)*")
_WORDS = ("true", "false", "yes", "no", "on", "off", "null", "y", "n")


def quoted(value: str) -> str:
    """`value` in double quotes, safe to print inside a sentence."""
    return json.dumps(one_line(value), ensure_ascii=False)


def scalar(value: str) -> str:
    """`value` as a YAML 1.1 scalar on one line, in quotes where a plain one could be read as something else."""
    if _PLAIN.fullmatch(value) and value.lower() not in _WORDS:
        return value
    return json.dumps(value)


def without_tokens(text: str) -> str:
    """`text` with `***` for everything that begins as a JWT does, whole or cut short."""
    return _TOKEN.sub("***", text)


def paste(*lines: str) -> str:
    """`lines` as a block to copy, under the sentence before it."""
    return "".join(f"\n  {line}" for line in lines)
