"""The bytes of a YAML file as scalars, lists and mappings that know their place; what they mean is not said here.

Only what a configuration needs is read: one document, no aliases, no merge keys, no tags.
"""

from __future__ import annotations

import re
from typing import Any, NoReturn

import yaml

from stepcreds.config.nodes import Mapping, Node, Scalar, Sequence, Unread, dotted, kind_of_plain
from stepcreds.config.problems import Problems
from stepcreds.printable import one_line

MAX_BYTES = 1024 * 1024
MAX_DEPTH = 20  # a configuration needs 6
MAX_KEY = 256  # characters; every problem repeats its key, and those above it

Loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)

# YAML 1.2, production [1] c-printable, from its other side.
_NOT_YAML = re.compile("[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
# What an escape in double quotes can bring in, and no environment, path or header can hold.
_CONTROL = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ud800-\udfff]")
_BREAK = re.compile("\r\n|[\r\n\x85\u2028\u2029]")  # as the parsers count lines


class _Stop(Exception):  # noqa: N818 - no error, but the end of reading
    """There is no sense in reading on."""


def read_document(data: bytes, problems: Problems, loader: type = Loader) -> Node | None:
    """The document in `data`, None where it could not be read; what is wrong with it goes to `problems`."""
    try:
        return _Reader(problems).document(_text(data, problems), loader)
    except _Stop:
        return None


def _text(data: bytes, problems: Problems) -> str:
    if len(data) > MAX_BYTES:
        problems.at(1, 1, "", "the file is larger than 1 MiB, which no configuration needs")
        raise _Stop
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        before = data[: error.start].decode("utf-8", "replace")
        problems.at(*_place(before), "", "the file is not UTF-8", "Save it in the encoding UTF-8.")
        raise _Stop from None
    if found := _NOT_YAML.search(text):
        what = f"the character {ascii(found.group())[1:-1]} may not stand in YAML"
        problems.at(*_place(text[: found.start()]), "", what, "Remove it.")
        raise _Stop
    return text


def _place(before: str) -> tuple[int, int]:
    lines = _BREAK.split(before)
    return len(lines), len(lines[-1]) + 1


class _Reader:
    """Turns the parser's events into nodes: its own composer would follow aliases and recurse without a limit."""

    def __init__(self, problems: Problems) -> None:
        self.problems = problems

    def document(self, text: str, loader_class: type) -> Node | None:
        self.text = text
        loader = loader_class(text)
        self.next = loader.get_event
        try:
            self.next()  # the stream's start
            if isinstance(self.next(), yaml.StreamEndEvent):
                self.stop(1, 1, "", "the file is empty", "Begin it with the line: version: 1")
            root = self.node(self.next(), "", 0)
            self.next()  # the document's end
            if not isinstance(after := self.next(), yaml.StreamEndEvent):
                line, column = _mark(after)
                self.stop(line, column, "", "a second document begins here", "Keep one document in the file.")
        except yaml.MarkedYAMLError as error:
            self.syntax_error(error)
        except (yaml.YAMLError, ValueError, OverflowError):
            # The parser in pure Python lets some of its own conversions fail, such as "\UFFFFFFFF".
            self.stop(1, 1, "", "the file cannot be read as YAML")
        finally:
            loader.dispose()
        if isinstance(root, Scalar) and root.kind == "null":
            self.stop(root.line, root.column, "", "the file is empty", "Begin it with the line: version: 1")
        return root

    def node(self, event: Any, key: str, depth: int) -> Node:
        line, column = _mark(event)
        if isinstance(event, yaml.AliasEvent):
            what = f"*{one_line(str(event.anchor), 60)} is an alias, and aliases are not read"
            self.problems.at(line, column, key, what, "Write the value out where it is needed.")
            return Unread(line, column)
        if depth > MAX_DEPTH:
            self.stop(line, column, key, f"more than {MAX_DEPTH} levels of nesting")
        refused = False
        if event.tag is not None:
            what = f"{one_line(event.tag, 60)} is a tag, and tags are not read"
            self.problems.at(line, column, key, what, "Remove it; a text that looks like a number goes in quotes.")
            refused = True
        node: Node
        if isinstance(event, yaml.SequenceStartEvent):
            node = Sequence(line, column, self.items(key, depth))
        elif isinstance(event, yaml.MappingStartEvent):
            node = Mapping(line, column, self.entries(key, depth), bool(event.flow_style))
        else:
            node = Scalar(line, column, event.value, "text" if event.style else kind_of_plain(event.value))
            if _CONTROL.search(event.value):
                self.problems.at(line, column, key, "the text holds a control character", "Remove it.")
                refused = True
        return Unread(line, column) if refused else node

    def items(self, key: str, depth: int) -> tuple[Node, ...]:
        items: list[Node] = []
        while not isinstance(event := self.next(), yaml.SequenceEndEvent):
            items.append(self.node(event, f"{key}[{len(items)}]", depth + 1))
        return tuple(items)

    def entries(self, parent: str, depth: int) -> tuple[tuple[Scalar, Node], ...]:
        entries: dict[str, tuple[Scalar, Node]] = {}
        while not isinstance(event := self.next(), yaml.MappingEndEvent):
            name = self.node(event, parent, depth + 1)
            if not isinstance(name, Scalar):
                if not isinstance(name, Unread):
                    what = "a key is a text, and this one is not"
                    self.problems.at(name.line, name.column, parent, what, "Put it in quotes if it begins with { or [.")
                self.node(self.next(), parent, depth + 1)
                continue
            if len(name.text) > MAX_KEY:
                self.stop(name.line, name.column, parent, f"a key is longer than {MAX_KEY} characters")
            key = dotted(parent, name.text)
            event = self.next()
            if name.text == "<<":
                what = "<< is a merge key, and merge keys are not read"
                self.problems.at(name.line, name.column, parent, what, "Write the keys out where they are needed.")
                if not isinstance(event, yaml.AliasEvent):
                    self.node(event, key, depth + 1)
                continue
            value = self.node(event, key, depth + 1)
            if name.text in entries:
                first = entries[name.text][0].line
                what = f"the key is given twice, first in line {first}"
                self.problems.at(name.line, name.column, key, what, "Keep one of the two.")
            else:
                entries[name.text] = (name, value)
        return tuple(entries.values())

    def syntax_error(self, error: yaml.MarkedYAMLError) -> NoReturn:
        mark = error.problem_mark or error.context_mark
        line, column = (mark.line + 1, mark.column + 1) if mark is not None else (1, 1)
        what, reason = "the file cannot be read as YAML: ", one_line(error.problem or "no reason given")
        if error.context:
            begins = error.context_mark.line + 1 if error.context_mark is not None else line
            what += one_line(error.context) + (f" that begins in line {begins}, " if begins != line else ", ")
        fix = "A text that begins with one of { [ * & ! % @ ` or that holds ': ' goes in quotes."
        if "\t" in "".join(_BREAK.split(self.text)[line - 1 : line])[:column]:
            fix = "Indent with spaces: YAML does not take tabs."
        self.stop(line, column, "", what + reason, fix)

    def stop(self, line: int, column: int, key: str, what: str, fix: str = "") -> NoReturn:
        self.problems.at(line, column, key, what, fix)
        raise _Stop from None


def _mark(event: Any) -> tuple[int, int]:
    return event.start_mark.line + 1, event.start_mark.column + 1
