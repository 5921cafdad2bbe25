"""The YAML document: every refusal whole, with both of PyYAML's parsers, which word some of them differently."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest
import yaml
from config_examples import folder

from stepcreds.clock import SystemClock
from stepcreds.config.document import MAX_BYTES, Loader, read_document
from stepcreds.config.load import load_config
from stepcreds.config.nodes import Mapping, Scalar, Sequence
from stepcreds.config.problems import Problems
from stepcreds.errors import ConfigError

QUOTES = "A text that begins with one of { [ * & ! % @ ` or that holds ': ' goes in quotes."
SPACES = "Indent with spaces: YAML does not take tabs."
ALIAS = "Write the value out where it is needed."
TAG = "Remove it; a text that looks like a number goes in quotes."
UNREADABLE = "the file cannot be read as YAML: "

PARSERS = [yaml.CSafeLoader, yaml.SafeLoader]


def refused(data: bytes, parser: type) -> list[tuple[str, str, str, str]]:
    problems = Problems("f.yml")
    try:
        read_document(data, problems, parser)
        problems.raise_all()
    except ConfigError as error:
        return [(p.where.removeprefix("f.yml:"), p.key, p.what, p.fix) for p in error.problems]
    return []


def test_libyaml_is_used_where_it_is_there() -> None:
    assert yaml.__with_libyaml__ == (Loader is yaml.CSafeLoader)


@pytest.mark.parametrize("parser", PARSERS)
@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"a: 1\nb: 2\na: 3\n", [("3:1", "a", "the key is given twice, first in line 1", "Keep one of the two.")]),
        (
            b"a:\n  b: {c: 1, d: 2, c: 3}\n  b: 4\n",
            [
                ("2:19", "a.b.c", "the key is given twice, first in line 2", "Keep one of the two."),
                ("3:3", "a.b", "the key is given twice, first in line 2", "Keep one of the two."),
            ],
        ),
        (b'a: 1\n"a": 3\n', [("2:1", "a", "the key is given twice, first in line 1", "Keep one of the two.")]),
        (
            b"- a: 1\n  a: 2\n",
            [("2:3", "[0].a", "the key is given twice, first in line 1", "Keep one of the two.")],
        ),
        (
            b"a: &x [1]\nb: *x\nc: [*x]\n",
            [
                ("2:4", "b", "*x is an alias, and aliases are not read", ALIAS),
                ("3:5", "c[0]", "*x is an alias, and aliases are not read", ALIAS),
            ],
        ),
        (
            b"a: &x {b: 1}\nc:\n  <<: *x\n  d: 1\n",
            [
                (
                    "3:3",
                    "c",
                    "<< is a merge key, and merge keys are not read",
                    "Write the keys out where they are needed.",
                )
            ],
        ),
        (
            b"<<: {a: *x}\n",
            [
                (
                    "1:1",
                    "",
                    "<< is a merge key, and merge keys are not read",
                    "Write the keys out where they are needed.",
                ),
                ("1:9", "<<.a", "*x is an alias, and aliases are not read", ALIAS),
            ],
        ),
        (b"a: !!str 1\n", [("1:4", "a", "tag:yaml.org,2002:str is a tag, and tags are not read", TAG)]),
        (
            b"!!python/object/apply:os.system [id]\n",
            [("1:1", "", "tag:yaml.org,2002:python/object/apply:os.system is a tag, and tags are not read", TAG)],
        ),
        (
            b"? [a]\n: b\n",
            [("1:3", "", "a key is a text, and this one is not", "Put it in quotes if it begins with { or [.")],
        ),
        (b"", [("1:1", "", "the file is empty", "Begin it with the line: version: 1")]),
        (b"# nothing\n", [("1:1", "", "the file is empty", "Begin it with the line: version: 1")]),
        (b"---\n...\n", [("2:1", "", "the file is empty", "Begin it with the line: version: 1")]),
        (b"\xef\xbb\xbf", [("1:1", "", "the file is empty", "Begin it with the line: version: 1")]),
        (b"a: 1\n---\nb: 1\n", [("2:1", "", "a second document begins here", "Keep one document in the file.")]),
        (b"a: 1\nb: \xe9\n", [("2:4", "", "the file is not UTF-8", "Save it in the encoding UTF-8.")]),
        ("a: ü\n".encode("utf-16"), [("1:1", "", "the file is not UTF-8", "Save it in the encoding UTF-8.")]),
        (b"a: 1\r\nb: \x1b[31m\r\n", [("2:4", "", r"the character \x1b may not stand in YAML", "Remove it.")]),
        (b"a: \x00\n", [("1:4", "", r"the character \x00 may not stand in YAML", "Remove it.")]),
        (b'a: "\\e[31m"\n', [("1:4", "a", "the text holds a control character", "Remove it.")]),
        (b'"\\0": 1\n', [("1:1", "", "the text holds a control character", "Remove it.")]),
        (b"a: " + b"[" * 30, [("1:24", "a" + "[0]" * 20, "more than 20 levels of nesting", "")]),
        (b"? " + b"k" * 257 + b"\n: 1\n", [("1:3", "", "a key is longer than 256 characters", "")]),
        (
            b"#" + b" " * MAX_BYTES,
            [("1:1", "", "the file is larger than 1 MiB, which no configuration needs", "")],
        ),
        (
            b"a: 1\nb\nc: 2\n",
            [
                (
                    "3:1",
                    "",
                    f"{UNREADABLE}while scanning a simple key that begins in line 2, could not find expected ':'",
                    QUOTES,
                )
            ],
        ),
        (
            b"a: 'x\nb: 1\n",
            [
                (
                    "3:1",
                    "",
                    f"{UNREADABLE}while scanning a quoted scalar that begins in line 1, found unexpected end of stream",
                    QUOTES,
                )
            ],
        ),
    ],
)
def test_a_document_that_is_refused(data: bytes, expected: list[tuple[str, ...]], parser: type) -> None:
    assert refused(data, parser) == expected


@pytest.mark.parametrize(
    ("data", "place", "with_libyaml", "in_python", "fix"),
    [
        (
            b"a:\n\tb: 2\n",
            "2:1",
            "while scanning for the next token, found character that cannot start any token",
            "while scanning for the next token, found character '\\t' that cannot start any token",
            SPACES,
        ),
        (
            b"a: b: c\n",
            "1:5",
            "mapping values are not allowed in this context",
            "mapping values are not allowed here",
            QUOTES,
        ),
        (
            b"a: @x\n",
            "1:4",
            "while scanning for the next token, found character that cannot start any token",
            "while scanning for the next token, found character '@' that cannot start any token",
            QUOTES,
        ),
        (
            b"a:\n  - b\n c: d\n",
            "3:2",
            "while parsing a block mapping that begins in line 1, did not find expected key",
            "while parsing a block mapping that begins in line 1, expected <block end>, but found "
            "'<block mapping start>'",
            QUOTES,
        ),
    ],
)
def test_syntax_in_the_parser_s_own_words(data: bytes, place: str, with_libyaml: str, in_python: str, fix: str) -> None:
    assert refused(data, yaml.CSafeLoader) == [(place, "", UNREADABLE + with_libyaml, fix)]
    assert refused(data, yaml.SafeLoader) == [(place, "", UNREADABLE + in_python, fix)]


def test_what_the_parser_in_python_cannot_convert() -> None:
    expected = [("1:1", "", "the file cannot be read as YAML", "")]
    assert refused(b'a: "\\UFFFFFFFF"\n', yaml.SafeLoader) == expected


@pytest.mark.parametrize("parser", PARSERS)
def test_scalars_mean_what_yaml_1_2_says(parser: type) -> None:
    kinds = {
        "null": ["", "~", "null", "NULL"],
        "boolean": ["true", "False"],
        "number": ["1", "-1", "+12", "0o17", "0x1F", "1.5", ".5", "1e3", "-.inf", "012"],
        "text": [
            "on",
            "off",
            "yes",
            "No",
            "2027-01-31",
            "1:30",
            "2m",
            "1_000",
            "nUll",
            "'1'",
            '"true"',
            "''",
            "=",
            "<",
        ],
    }
    for kind, texts in kinds.items():
        for text in texts:
            node = read_document(f"a: {text}\n".encode(), Problems("f"), parser)
            assert isinstance(node, Mapping)
            value = node.entries[0][1]
            assert isinstance(value, Scalar)
            assert (text, value.kind) == (text, kind)


@pytest.mark.parametrize("parser", PARSERS)
def test_every_part_knows_its_place(parser: type) -> None:
    text = "# ü\na:\n  - b\n  - {ü𝒳: c}\nd: |\n  x\n"
    node = read_document(b"\xef\xbb\xbf" + text.encode(), Problems("f"), parser)
    c = Mapping(4, 5, ((Scalar(4, 6, "ü𝒳", "text"), Scalar(4, 10, "c", "text")),), True)
    items = Sequence(3, 3, (Scalar(3, 5, "b", "text"), c))
    d = (Scalar(5, 1, "d", "text"), Scalar(5, 4, "x\n", "text"))
    assert node == Mapping(2, 1, ((Scalar(2, 1, "a", "text"), items), d), False)


@pytest.mark.parametrize("parser", PARSERS)
def test_a_bomb_of_aliases_does_not_go_off(parser: type) -> None:
    levels = ["a0: &a0 [x, x]"] + [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 10)]
    found = refused("\n".join(levels).encode(), parser)
    assert len(found) == 81
    assert {what for _, _, what, _ in found} == {f"*a{n} is an alias, and aliases are not read" for n in range(9)}


def test_a_fifo_in_place_of_the_file_does_not_hold_the_step(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "stepcreds.yml")
    raised: list[object] = []

    def load() -> None:
        try:
            load_config(None, {}, tmp_path, SystemClock())
        except ConfigError as error:
            raised.extend(error.problems)

    thread = threading.Thread(target=load, daemon=True)
    thread.start()
    thread.join(30)
    assert [str(problem) for problem in raised] == [
        "Problem(where='stepcreds.yml', key='', what='it is not a regular file', fix='')"
    ]


def test_a_folder_and_a_link_to_nowhere_in_its_place(tmp_path: Path) -> None:
    found = []
    (tmp_path / "folder").mkdir()
    (tmp_path / "link").symlink_to("nowhere")
    for name in ("folder", "link", "x" * 300, "nul\0"):
        with pytest.raises(ConfigError) as caught:
            load_config(Path(name), {}, tmp_path, SystemClock())
        found += [(problem.where, problem.what) for problem in caught.value.problems]
    assert found == [
        ("folder", "it is not a regular file"),
        ("link", "the file cannot be opened: No such file or directory"),
        ("x" * 300, "the file cannot be opened: File name too long"),
        ("nul\0", "the file cannot be opened: not a file name"),
    ]


def test_a_file_that_grows_past_the_limit_is_not_read_whole(tmp_path: Path) -> None:
    with (folder(tmp_path, "") / "stepcreds.yml").open("wb") as file:
        file.truncate(1 << 40)  # sparse
    with pytest.raises(ConfigError) as caught:
        load_config(None, {}, tmp_path, SystemClock())
    assert [problem.what for problem in caught.value.problems] == [
        "the file is larger than 1 MiB, which no configuration needs"
    ]
