"""The form of an error, byte for byte, and what foreign text in it cannot do."""

from __future__ import annotations

import io
import os
import pty
from collections.abc import Iterator
from typing import TextIO

import pytest

from stepcreds.cli.messages import coloured, render_error
from stepcreds.errors import ConfigError, Problem, StepcredsError, UsageError, VaultError


def test_the_common_form() -> None:
    error = StepcredsError("it failed", cause="the server is down", fix="start it", docs="vault-down")
    assert render_error(error, colour=False) == (
        "stepcreds: error: it failed\n"
        "  cause: the server is down\n"
        "  fix: start it\n"
        "  see: https://github.com/stepcreds/stepcreds/blob/v1/docs/troubleshooting.md#vault-down"
    )


def test_nothing_is_said_where_there_is_nothing_to_say() -> None:
    assert render_error(UsageError("it failed"), colour=False) == "stepcreds: error: it failed"


def test_further_lines_are_indented_under_the_first() -> None:
    error = VaultError("it failed", cause="one\ntwo", fix="Add to the job:\npermissions:\n  id-token: write")
    assert render_error(error, colour=False) == (
        "stepcreds: error: it failed\n"
        "  cause: one\n"
        "    two\n"
        "  fix: Add to the job:\n"
        "    permissions:\n"
        "      id-token: write"
    )


def test_the_problems_of_a_configuration() -> None:
    problems = [
        Problem("stepcreds.yml:12:5", "profiles.migrate.ttl", "it is too long", "Lower it."),
        Problem("stepcreds.yml:14:1", "", "there is no such key"),
        Problem("VAULT_ADDR", "", "it is no address"),
    ]
    assert render_error(ConfigError(problems), colour=False) == (
        "stepcreds: error: 3 problems in the configuration\n"
        "stepcreds.yml:12:5: profiles.migrate.ttl: it is too long\n"
        "  fix: Lower it.\n"
        "stepcreds.yml:14:1: there is no such key\n"
        "VAULT_ADDR: it is no address\n"
        "  see: https://github.com/stepcreds/stepcreds/blob/v1/docs/troubleshooting.md#configuration"
    )


def test_colours() -> None:
    error = StepcredsError("it failed", fix="mend it")
    assert render_error(error, colour=True) == (
        "\x1b[1;31mstepcreds: error:\x1b[0m it failed\n  \x1b[1mfix:\x1b[0m mend it"
    )


def test_foreign_text_commands_neither_a_terminal_nor_a_log_reader() -> None:
    foreign = "\x1b[2Jx\n::set-env name=A::b\n##vso[task.setvariable]x\u202e"
    error = StepcredsError(foreign, cause=foreign)
    assert render_error(error, colour=False) == (
        "stepcreds: error: \\x1b[2Jx\n"
        "    \\::set-env name=A::b\n"
        "    #\\#vso[task.setvariable]x\\u202e\n"
        "  cause: \\x1b[2Jx\n"
        "    \\::set-env name=A::b\n"
        "    #\\#vso[task.setvariable]x\\u202e"
    )
    problems = [Problem("::warning::f.yml:1:1", "a\n::b", "c\n::d", "e\n::f")]
    assert render_error(ConfigError(problems), colour=False) == (
        "stepcreds: error: 1 problem in the configuration\n"
        "\\::warning::f.yml:1:1: a ::b: c ::d\n"
        "  fix: e\n"
        "    \\::f\n"
        "  see: https://github.com/stepcreds/stepcreds/blob/v1/docs/troubleshooting.md#configuration"
    )


@pytest.fixture
def terminal() -> Iterator[TextIO]:
    ours, theirs = pty.openpty()
    with os.fdopen(theirs, "w") as stream:
        yield stream
    os.close(ours)


@pytest.mark.parametrize(
    ("variables", "expected"),
    [
        ({"TERM": "xterm"}, True),
        ({"TERM": "xterm", "NO_COLOR": ""}, True),
        ({"TERM": "xterm", "NO_COLOR": "1"}, False),
        ({"TERM": "dumb"}, False),
    ],
)
def test_when_there_is_colour(
    variables: dict[str, str], expected: bool, terminal: TextIO, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert coloured(terminal) is expected
    assert coloured(io.StringIO()) is False
