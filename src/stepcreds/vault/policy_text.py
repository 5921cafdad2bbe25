"""Reads the text of a Vault policy, HCL or JSON: its paths and what is allowed there, without limits of parameters.

The grammar is that of `vault/policy.go` of OpenBao and HashiCorp Vault: blocks `path "…" { capabilities = [ … ] }`, and
the old `policy = "read"` in place of capabilities.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator

_OLD_WORDS = {
    "deny": ("deny",),
    "read": ("read", "list"),
    "write": ("create", "read", "update", "delete", "list"),
    "sudo": ("create", "read", "update", "delete", "list", "sudo"),
}
_TOKEN = re.compile(
    r"""\s+|(?:\#|//)[^\n]*|/\*.*?\*/|(?P<string>"(?:[^"\\\n]|\\.)*")|(?P<heredoc><<-?(?P<mark>\w+)\n.*?\n\s*(?P=mark)\b)"""
    r"""|(?P<sign>[{}\[\]=,:])|(?P<word>[\w.+-]+)""",
    re.DOTALL,
)


class PolicyTextError(ValueError):
    """The text is no policy that can be read."""


def read_policy(text: str) -> list[tuple[str, frozenset[str]]]:
    """Each path with its capabilities, in the order of the text. Raises `PolicyTextError`."""
    if text.lstrip().startswith("{"):
        return list(_of_json(text))
    tokens = _tokens(text)
    found = []
    position = 0
    while position < len(tokens):
        is_path = tokens[position] in ("path", '"path"') and tokens[position + 2 : position + 3] == ["{"]
        if tokens[position] == "{":
            position = _end(tokens, position)
        elif is_path and tokens[position + 1].startswith('"'):
            end = _end(tokens, position + 2)
            found.append((_text(tokens[position + 1]), _capabilities(tokens[position + 3 : end])))
            position = end
        position += 1
    return found


def _of_json(text: str) -> Iterator[tuple[str, frozenset[str]]]:
    try:
        document = json.loads(text)
    except (ValueError, RecursionError):
        raise PolicyTextError("it is neither HCL nor JSON") from None
    paths = document.get("path") if isinstance(document, dict) else None
    for blocks in paths if isinstance(paths, list) else [paths or {}]:
        if not isinstance(blocks, dict):
            raise PolicyTextError("its paths are no objects")
        for path, body in blocks.items():
            for block in body if isinstance(body, list) else [body]:
                if not isinstance(block, dict):
                    raise PolicyTextError("a path has no object")
                told = block.get("capabilities")
                old = _OLD_WORDS.get(str(block.get("policy")), ())
                yield path, frozenset(map(str, told)) if isinstance(told, list) else frozenset(old)


def _tokens(text: str) -> list[str]:
    tokens, position = [], 0
    while position < len(text):
        match = _TOKEN.match(text, position)
        if match is None:
            raise PolicyTextError("a character does not belong in it")
        if match["string"] or match["sign"] or match["word"] or match["heredoc"]:
            tokens.append(match.group())
        position = match.end()
    return tokens


def _end(tokens: list[str], opening: int) -> int:
    """Where the brace that opens at `opening` closes."""
    depth = 0
    for position in range(opening, len(tokens)):
        depth += {"{": 1, "}": -1}.get(tokens[position], 0)
        if not depth:
            return position
    raise PolicyTextError("a brace is not closed")


def _capabilities(body: list[str]) -> frozenset[str]:
    depth, found = 0, set()
    for position, token in enumerate(body):
        depth += {"{": 1, "}": -1}.get(token, 0)
        if depth or body[position + 1 : position + 2] != ["="]:
            continue
        value = body[position + 2 :]
        if token.strip('"') == "capabilities" and value[:1] == ["["] and "]" in value:
            found |= {_text(each) for each in value[: value.index("]")] if each.startswith('"')}
        elif token.strip('"') == "policy" and value[:1]:
            found |= set(_OLD_WORDS.get(value[0].strip('"'), ()))
    return frozenset(found)


def _text(token: str) -> str:
    try:
        return str(json.loads(token))
    except ValueError:
        return token[1:-1]
