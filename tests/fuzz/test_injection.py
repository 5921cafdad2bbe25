"""Hostile texts at every source of a real run: nothing that is printed or handed on steers a terminal or commands a runner.

Every byte of stdout, of stderr and of the page of the run is scanned, also what an annotation holds once the runner has
taken its escapes out.
"""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest
from step_runs import reconfigure

from conftest import Step
from faulty_vault import Fault, FaultyVault
from stepcreds.devstack.postgresql import SUPERUSER
from stepcreds.devstack.stack import Stack

pytestmark = pytest.mark.usefixtures("alone")

# A terminal's title and erasure, GitLab's sections, commands of GitHub's runner (both kinds, and escaped), of Azure's
# and of TeamCity's, a text that is turned around, hidden characters, Markdown and HTML.
HOSTILE = (
    "a\x1b]0;owned\x07\x1b[2J\r\n::set-env name=PWNED::1\r::stop-commands::x\n \t::add-path::/x\n##[command]x"
    "\nsection_start:1:x\r\x1b[0K ##vso[task.setvariable variable=P]1 ##teamcity[x] %0A::error::x%0D%25"
    "\u202e\u200b\u2028::debug::x\x85\x9b31m\x08 ##\xad[x] | `x` <script>alert(1)</script> [x](javascript:x) www.x.example"
)
# PostgreSQL's names have 63 bytes.
NAMES = (
    "a\x1b[2J\n::set-env name=PWNED::1",
    '##[command]##vso[x]|`"<b>\u202e\u200b',
    "%0A::error::x\r::x\x9b31m www.x.example",
)

OURS = re.compile(r"::(add-mask::|group::|endgroup::|(error|warning|notice) title=[^:,]*::)")
_STEERS = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\xad\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff]")
_COMMANDS = re.compile(r"(?im)^\s*::|##(\[|vso|teamcity)")


def scan(text: str) -> None:
    """No line of `text` steers a terminal, and those that are commands are ours."""
    plain = []
    for line in text.split("\n"):
        if OURS.match(line):
            unescaped = re.sub("%0A|%0D|%3A|%2C", lambda m: chr(int(m[0][1:], 16)), OURS.sub("", line, count=1))
            assert not line.startswith("::add-mask") or "PWNED" not in line, line
            plain.append(unescaped.replace("%25", "%"))
        else:
            plain.append(line)
    whole = "\n".join(plain)
    assert not (found := _STEERS.search(whole)), f"{found} in {whole!r}"
    assert not (found := _COMMANDS.search(whole)), f"{found} in {whole!r}"
    assert "Traceback" not in whole


def scan_markdown(text: str) -> None:
    scan(text)
    for special in ("<", "`x", "](", "\n::"):
        assert not re.search(rf"(?<!\\){re.escape(special)}", text), f"{special} in {text!r}"
    assert "www.x" not in text
    for line in text.splitlines():
        assert len(re.findall(r"(?<!\\)\|", line)) in (0, 7, 8), line


class Pages:
    """Runs of stepcreds in a job whose page is kept; each is scanned."""

    def __init__(self, step: Step, folder: Path) -> None:
        self.step = step
        self.page = folder / "page"
        self.page.write_bytes(b"")

    def __call__(self, *arguments: str, **variables: str | None) -> subprocess.CompletedProcess[str]:
        run = self.step(*arguments, GITHUB_STEP_SUMMARY=str(self.page), **variables)
        scan(run.stdout)
        scan(run.stderr)
        scan_markdown(self.page.read_text())
        return run


@pytest.fixture
def pages(step: Step, tmp_path: Path) -> Pages:
    return Pages(step, tmp_path)


ERRORS = json.dumps({"errors": [HOSTILE, "b" * 100_000]}).encode()


@pytest.mark.parametrize("stage", ["login", "issue", "lookup"])
def test_what_vault_says(stage: str, stack: Stack, config_file: Path, pages: Pages) -> None:
    with FaultyVault(stack.address) as vault:
        reconfigure(config_file, lambda document: document["vault"].update(address=vault.address))
        vault.fail(stage, Fault(status=400, body=ERRORS), times=None)
        run = pages("exec", "verify", "--", "true")
    reconfigure(config_file, lambda document: document["vault"].update(address=stack.address))
    assert pages("revoke", "--all").returncode == 0
    assert run.returncode == (121 if stage == "lookup" else 125), run.stderr
    assert "PWNED" in run.stderr


def test_what_a_proxy_says_in_a_header(stack: Stack, config_file: Path, pages: Pages) -> None:
    header = "text/x\x1b[2J##[x]\x9b31m"
    with FaultyVault(stack.address) as vault:
        reconfigure(config_file, lambda document: document["vault"].update(address=vault.address))
        vault.fail(
            "login", Fault(status=404, body=b"<html>", content_type=header.encode().decode("latin-1")), times=None
        )
        first = pages("exec", "verify", "--", "true")
        vault.fail("probe", Fault(status=301, headers={"Location": "https://x/\x1b[2J##[x]"}), times=None)
        second = pages("exec", "verify", "--", "true")
    assert (first.returncode, second.returncode) == (125, 125)
    assert "text/x\\x1b[2J#\\#[x]" in first.stderr


@contextmanager
def tables(stack: Stack) -> Iterator[None]:
    """Tables that everybody may write to, by names that nobody should print as they are."""
    names = ["public." + '"' + name.replace('"', '""') + '"' for name in NAMES]
    with closing(stack.connect(SUPERUSER, stack.postgresql.password)) as connection:
        for name in names:
            connection.run(f"CREATE TABLE {name} (a int)")
            connection.run(f"GRANT ALL ON {name} TO PUBLIC")
        try:
            yield
        finally:
            for name in names:
                connection.run(f"DROP TABLE {name}")


def test_what_things_in_a_database_are_called(stack: Stack, pages: Pages) -> None:
    with tables(stack):
        run = pages("exec", "verify", "--", "true")
        assert run.returncode == 125
        assert "set-env" in run.stderr + pages.page.read_text()
        for arguments in (("scope", "--all"), ("scope", "verify"), ("scope", "verify", "--json")):
            shown = pages(*arguments)
            assert shown.returncode == 1
    assert pages("ledger", "show", "--json").returncode == 0


def test_what_the_job_is_called_and_what_it_has_in_its_environment(stack: Stack, pages: Pages) -> None:
    text = HOSTILE.replace("\0", "")
    names = {
        f"A{text.replace('=', '')}_PASSWORD": "a-long-value-of-it",
        "DATABASE_URL\x1b[2J": "postgresql://u:secret@h/d",
    }
    job = {"GITHUB_JOB": text, "GITHUB_ACTION": text, "RUNNER_NAME": text, "GITHUB_REF": text, "GITHUB_ACTOR": text}
    run = pages("exec", "verify", "--", "true", **names, **job)
    assert run.returncode in (0, 125), run.stderr
    assert pages("exec", "verify", "--inherit", "clean", "--reason", text, "--", "true", **names, **job).returncode == 0
    assert pages("ledger", "show").returncode == 0
    assert pages("ledger", "show", "--json").returncode == 0
    assert pages("ledger", "verify").returncode == 0
    assert pages("ledger", "verify", "--json").returncode == 0


def test_what_the_token_claims(stack: Stack, pages: Pages, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("sub", "ref", "actor", "job_workflow_ref"):
        monkeypatch.setitem(stack.issuer.claims, name, HOSTILE)
    assert pages("exec", "verify", "--", "true").returncode == 0
    monkeypatch.setitem(stack.issuer.claims, "repository_id", "9")
    assert pages("exec", "verify", "--", "true").returncode == 125
    assert pages("doctor", "verify").returncode == 1
    assert pages("doctor", "verify", "--json").returncode == 1
    assert pages("ledger", "show").returncode == 0


def test_what_is_named_on_the_command_line(pages: Pages, tmp_path: Path) -> None:
    file = tmp_path / "x\x1b[2J\n::error::y.jsonl"
    file.write_text("garbage\n")
    for arguments, code in (
        (("exec", "verify", "--", "\x1b[2J\n::error::x"), 127),
        (("exec", HOSTILE.replace("/", ""), "--", "true"), 125),
        (("exec", f"--{HOSTILE}", "verify", "--", "true"), 125),
        (("scope", HOSTILE), 2),
        (("doctor", HOSTILE), 2),
        ((HOSTILE,), 2),
        (("ledger", "show", HOSTILE), 2),
        (("ledger", "show", str(file)), 0),
        (("ledger", "verify", str(file)), 1),
        (("ledger", "verify", "--json", str(file)), 1),
        (("revoke", "--run", HOSTILE), 2),
        (("config", "check", "--config", HOSTILE), 2),
    ):
        run = pages(*arguments)
        assert run.returncode == code, (arguments, run.stderr)


def test_what_a_configuration_says(pages: Pages, config_file: Path) -> None:
    text = json.dumps(HOSTILE)
    good = config_file.read_text()
    for document in (
        f"{text}: 1\n",
        f"version: {text}\n",
        f"version: 1\nprofiles:\n  {text}: {{creds: {text}, {text}: {text}}}\n",
        f"version: 1\nvault: {{address: {text}, ca_cert: {text}}}\nprofiles: {{a: {{env: {{{text}: {text}}}}}}}\n",
        "version: 1\nprofiles:\n  '##[x]': &a {'::error::': *a}\n",
        good.replace("profiles:", "profiles:\n  '##vso[x]': {creds: '::a'}", 1),
    ):
        config_file.write_text(document)
        for arguments in (("config", "check"), ("config", "check", "--json"), ("doctor",)):
            assert pages(*arguments).returncode in (1, 2)


def test_what_a_ledger_holds(pages: Pages, config_file: Path) -> None:
    assert pages("exec", "verify", "--", "true").returncode == 0
    (file,) = (config_file.parent / ".stepcreds").glob("*.jsonl")
    records = [json.loads(line) for line in file.read_text().splitlines()]
    file.write_text("".join(json.dumps(planted(record), ensure_ascii=False) + "\n" for record in records))
    for name in ("show", "verify"):
        assert pages("ledger", name).returncode == (name == "verify")
        assert pages("ledger", name, "--json").returncode == (name == "verify")
    assert "PWNED" in pages("ledger", "show").stdout


def planted(value: Any, key: str = "") -> Any:
    """`value` with every text in it replaced but those by which its parts are found."""
    if isinstance(value, dict):
        return {name: planted(inner, name) for name, inner in value.items()}
    if isinstance(value, list):
        return [planted(inner) for inner in value]
    return HOSTILE if isinstance(value, str) and key not in ("kind", "credential_uid") else value
