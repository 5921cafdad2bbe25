"""A `run` script as GitHub's runner would run it, by its shell."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from stepcreds.action.script import Script, script_of, split_arguments
from stepcreds.errors import UsageError

COMMAND_LINES = {
    "": ("bash", "-e", "/t/s"),
    "bash": ("bash", "--noprofile", "--norc", "-e", "-o", "pipefail", "/t/s"),
    "Bash": ("Bash", "--noprofile", "--norc", "-e", "-o", "pipefail", "/t/s"),
    "sh": ("sh", "-e", "/t/s"),
    "python": ("python", "/t/s"),
    "pwsh": ("pwsh", "-command", ". '/t/s'"),
    "bash -x {0}": ("bash", "-x", "/t/s"),
    "perl -w {0} --last": ("perl", "-w", "/t/s", "--last"),
    'env "NAME=two words" python3 {0}': ("env", "NAME=two words", "python3", "/t/s"),
    "awk -f {0} {0}": ("awk", "-f", "/t/s", "/t/s"),
}
SUFFIXES = {
    "": ".sh",
    "bash": ".sh",
    "sh": ".sh",
    "python": ".py",
    "pwsh": ".ps1",
    "bash -x {0}": ".sh",
    "perl {0}": "",
}


@pytest.mark.parametrize("shell", COMMAND_LINES)
def test_command_line(shell: str) -> None:
    assert script_of("true", shell, has_bash=True).argv("/t/s") == COMMAND_LINES[shell]


@pytest.mark.parametrize("shell", SUFFIXES)
def test_the_end_of_the_name(shell: str) -> None:
    assert script_of("true", shell, has_bash=True).suffix == SUFFIXES[shell]


def test_without_bash_the_default_is_sh() -> None:
    assert script_of("true", "", has_bash=False) == Script("true", ".sh", "sh", "-e {0}")


def test_powershell_stops_at_errors_and_ends_with_the_last_code() -> None:
    assert script_of("tool", "pwsh", has_bash=True).content == (
        "$ErrorActionPreference = 'stop'\ntool\n"
        "if ((Test-Path -LiteralPath variable:\\LASTEXITCODE)) { exit $LASTEXITCODE }"
    )


def test_a_path_with_blanks_is_one_argument_where_the_shell_quotes_it() -> None:
    assert script_of("", 'bash "{0}"', has_bash=True).argv('/a b/"c"') == ("bash", '/a b/"c"')


@pytest.mark.parametrize("shell", ["cmd", "powershell", "PowerShell"])
def test_the_shells_of_windows(shell: str) -> None:
    with pytest.raises(UsageError) as caught:
        script_of("dir", shell, has_bash=True)
    error = caught.value
    assert (error.what, error.fix, error.docs) == (
        f"The shell {shell.lower()} is for Windows, where stepcreds does not run",
        "Use bash, sh, python, pwsh, or a command line with {0} for the script's file.",
        "action-inputs",
    )


@pytest.mark.parametrize("shell", ["perl", "bash -x", "{0}", "perl -e\x1b[2J"])
def test_a_shell_that_is_none(shell: str) -> None:
    with pytest.raises(UsageError) as caught:
        script_of("1", shell, has_bash=True)
    error = caught.value
    shown = repr(shell)
    assert (error.what, error.cause, error.fix, error.docs) == (
        f"The shell {shown} is neither one that GitHub knows nor a command line with {{0}}",
        "Nothing says where the script's file belongs.",
        "Use bash, sh, python, pwsh, or a command line with {0} for the script's file: perl {0}",
        "action-inputs",
    )


SPLIT = {
    "": [],
    "  a\tb ": ["a", "b"],
    '"a b"c d': ["a bc", "d"],
    '""': [""],
    '"a""b" c': ['a"b', "c"],
    '"""x"': ['"x'],
    "'a b'": ["'a", "b'"],
    r"a\\\"b c": [r"a\"b", "c"],
    r'"a\\" b': ["a\\", "b"],
    r"C:\dir\ x": ["C:\\dir\\", "x"],
    '"a" "b"': ["a", "b"],
}


@pytest.mark.parametrize("text", SPLIT)
def test_arguments_are_split_as_dotnet_splits_them(text: str) -> None:
    assert split_arguments(text) == SPLIT[text]


@pytest.mark.parametrize(("shell", "code"), [("", 0), ("bash", 3), ("sh", 0)])
def test_only_bash_by_name_looks_at_the_whole_pipeline(shell: str, code: int, tmp_path: Path) -> None:
    script = script_of("(exit 3) | cat\necho done\n", shell, has_bash=True)
    path = tmp_path / f"script{script.suffix}"
    path.write_text(script.content)
    done = subprocess.run(script.argv(str(path)), capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (code, "" if code else "done\n")
