"""`stepcreds setup` as a child process: its flags, its file of answers, what it asks, and all that it refuses."""

from __future__ import annotations

import json
import os
import pty
import select
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import yaml
from fresh_shop import warm
from setup_configs import CIS, DATABASE, profile

Setup = Callable[..., "subprocess.CompletedProcess[str]"]
GITHUB = ("--ci", "github", "--repository-id", "71717171")
READ = {"verify": profile("verify")}
BOTH = {"migrate": profile("migrate", access="ddl"), **READ}
# The default: as `setup` prints it where everything was answered.
OVERVIEW = """\
Who may log in, for how long:
  app-migrate
    repository_id = 71717171
    environment = production
    audience = https://vault.example.com:8200
    token: 210 s, at most 1890 s; entity by repository_id
  app-verify
    repository_id = 71717171
    audience = https://vault.example.com:8200
    token: 210 s, at most 1890 s; entity by repository_id

Note: verify: every job of the repository may log in; --environment, --branch or --ref would make it fewer.

"""
GO_ON = """\
  stepcreds setup apply --dry-run --answers setup.yml             what of this is missing
  stepcreds setup apply --answers setup.yml                       make it so
  stepcreds setup --format sql --out setup --answers setup.yml    or as files, for others to run: the databases first,
  stepcreds setup --format shell --out setup --answers setup.yml  then Vault (or hcl, or terraform)
  stepcreds setup check --answers setup.yml                       later on, whether it is still so
"""
NOWHERE = """\
Nothing has been changed at any server. How to go on:
  this command and --save-answers setup.yml                       keep the answers
"""
SAVED = "The answers are in setup.yml. Nothing has been changed at any server. How to go on:\n"


def write(folder: Path, profiles: dict[str, Any], **more: object) -> None:
    text = {"version": 1, "vault": {"address": "https://vault.example.com:8200"}, "profiles": profiles, **more}
    (folder / "stepcreds.yml").write_text(json.dumps(text))


def environment(folder: Path, **variables: str) -> dict[str, str]:
    return {"PATH": os.defpath, "HOME": str(folder), "LANG": "C.UTF-8", "TERM": "dumb", **variables}


@pytest.fixture
def setup(tmp_path: Path) -> Setup:
    write(tmp_path, BOTH)

    def run(*arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
        return warm()("setup", *arguments, cwd=tmp_path, env=environment(tmp_path, **variables))

    return run


def roles(printed: str) -> dict[str, list[str]]:
    """Who may log in, of an overview: the claims of each role."""
    found: dict[str, list[str]] = {}
    for line in printed.partition("Who may log in, for how long:\n")[2].partition("\n\n")[0].splitlines():
        if not line.startswith("    "):
            found[line.strip()] = []
        elif " = " in line and "audience" not in line:
            found[list(found)[-1]].append(line.strip())
    return found


def test_an_overview_says_who_may_log_in_and_how_to_go_on(setup: Setup) -> None:
    done = setup(*GITHUB, "--environment", "migrate=production")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("At PostgreSQL db.example.com:5432 app, once, by an administrator:\n  - ")
    assert done.stdout.endswith(OVERVIEW + NOWHERE + GO_ON)
    assert "\nAt Vault https://vault.example.com:8200, in this order:\n  sys/auth/jwt  " in done.stdout


def test_without_a_terminal_everything_that_is_missing_is_said_at_once(setup: Setup) -> None:
    done = setup("--ci", "github")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == (
        "stepcreds: error: 2 answers are missing\n"
        "  cause: --repository-id: only jobs of this one may log in, by repository_id: the repository's number, which "
        "stays its own: gh api repos/OWNER/NAME --jq .id\n"
        "    --environment for profile migrate: ddl is for jobs that a rule of yours protects, or every job of the "
        "repository has it (instead: --branch, --ref, --no-environment migrate if every job is meant)\n"
        "  fix: Give them as flags, or in a file (--answers); on a terminal they are asked for:\n"
        "      --repository-id 71717171\n"
        "      --environment migrate=production\n"
        "  see: https://github.com/stepcreds/stepcreds/blob/v1/docs/troubleshooting.md#setup-answers\n"
    )


@pytest.mark.parametrize(
    "instead", [["--branch", "main"], ["--ref", "migrate=refs/tags/v1"], ["--no-environment", "migrate"]]
)
def test_ddl_without_an_environment_wants_another_rule_or_says_so_in_words(setup: Setup, instead: list[str]) -> None:
    assert setup(*GITHUB).returncode == 2
    assert setup(*GITHUB, *instead).returncode == 0


def test_a_prefix_names_a_profile_and_what_is_meant_as_a_whole_begins_with_an_equals_sign(setup: Setup) -> None:
    done = setup(
        *GITHUB,
        "--branch",
        "=feature=x",
        "--branch",
        "feature/y=z",
        "--branch",
        "verify=main",
        "--claim",
        "migrate=actor=a=b",
        "--claim",
        "verify=1",
    )
    assert roles(done.stdout) == {
        "app-migrate": [
            "repository_id = 71717171",
            "ref = refs/heads/feature=x or refs/heads/feature/y=z",
            "verify = 1",
            "actor = a=b",
        ],
        "app-verify": ["repository_id = 71717171", "ref = refs/heads/main", "verify = 1"],
    }


@pytest.mark.parametrize(
    ("arguments", "what", "meant"),
    [
        (["--environment", "migrat=production"], "--environment migrat=production names the profile migrat", "migrate"),
        (
            ["--environment", "Migrate=production"],
            "--environment Migrate=production names the profile Migrate",
            "migrate",
        ),
        (["--claim", "verfy=ref="], "--claim verfy=ref= names the profile verfy", "verify"),
        (["--owner", "nobody=x"], "--owner nobody=x names the profile nobody", ""),
    ],
)
def test_a_profile_that_is_misspelled_is_no_part_of_an_answer(
    setup: Setup, arguments: list[str], what: str, meant: str
) -> None:
    flag, value = arguments
    fix = f'Did you mean "{meant}"?' if meant else "Use one of: migrate, verify."
    done = setup(*GITHUB, "--no-environment", "migrate", *arguments)
    assert (done.returncode, done.stdout, done.stderr) == (
        2,
        "",
        f"stepcreds: error: {what}, and there is none\n"
        f"  fix: {fix}\n"
        f"    Where all of it is the answer, and for all profiles, put a '=' before it: {flag} '={value}'\n"
        "  see: https://github.com/stepcreds/stepcreds/blob/v1/docs/troubleshooting.md#setup-answers\n",
    )


def test_how_to_go_on_can_be_pasted(setup: Setup, tmp_path: Path) -> None:
    kept = (*GITHUB, "--environment", "migrate=production", "--save-answers", "it's mine.yml")
    last = setup(*kept).stdout.splitlines()[-5:]
    assert last[1] == """  stepcreds setup apply --answers 'it'"'"'s mine.yml'                       make it so"""
    command = last[2].partition("  or as files")[0].split(maxsplit=2)[2]
    done = subprocess.run(
        ["sh", "-c", f"{sys.executable} -m stepcreds setup {command}"],
        cwd=tmp_path,
        env=environment(tmp_path),
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "Written: setup/app.sql\n", "")
    # Answers that are in no file have to get into one first.
    more = setup("--answers", "it's mine.yml", "--branch", "main", "--config", "stepcreds.yml").stdout.splitlines()
    assert [line.partition("  keep")[0].rstrip() for line in more[-6:-4]] == [
        "  this command and --save-answers setup.yml",
        "  stepcreds setup apply --dry-run --answers setup.yml --config stepcreds.yml             what of this is missing",
    ]


def test_several_answers_are_one_or_the_other(setup: Setup) -> None:
    done = setup(
        *GITHUB, "--branch", "main", "--branch", "release", "--ref", "refs/tags/v1", "--workflow", "verify=w@r"
    )
    ref = "ref = refs/heads/main or refs/heads/release or refs/tags/v1"
    assert roles(done.stdout) == {
        "app-migrate": ["repository_id = 71717171", ref],
        "app-verify": ["repository_id = 71717171", ref, "job_workflow_ref = w@r"],
    }


HOSTILE = ['a"SUPERUSER--', "it's", "100%_x", "{}", "{{name}}", "${x}", "ü€", "x" * 300, "a b", "$(id)", "`id`", "\\"]


@pytest.mark.parametrize("form", ["text", "hcl", "terraform", "shell"])
def test_branches_may_have_any_name(setup: Setup, tmp_path: Path, form: str) -> None:
    branches = [word for name in HOSTILE for word in ("--branch", name)]
    done = setup(*GITHUB, *branches, "--format", form)
    assert (done.returncode, done.stderr) == (0, "")
    if form == "shell":
        checked = subprocess.run(["sh", "-n"], input=done.stdout, capture_output=True, text=True, check=False)
        assert (checked.returncode, checked.stderr) == (0, "")
        start = done.stdout.index("{", done.stdout.index("put auth/jwt/role/app-verify"))
        body, _ = json.JSONDecoder().raw_decode(done.stdout[start:])
        assert body["bound_claims"]["ref"] == [f"refs/heads/{name}" for name in HOSTILE]


@pytest.mark.parametrize(
    ("arguments", "what"),
    [
        (["--branch", "release/*"], "--branch release/* would fit no job: a claim is compared letter for letter"),
        (["--branch", "a\x1b[2J"], "--branch holds a character that cannot be printed"),
        (["--claim", "actor"], "--claim actor is not of the form NAME=VALUE"),
        (["--guard", "other"], "--guard names other, and there is no such profile"),
        (["--no-environment", "*x"], "--no-environment names *x, and there is no such profile"),
        (["--connection-limit", "0"], "--connection-limit of profile migrate is not a number from 1 to 9999"),
        (["--connection-limit", "verify=x"], "--connection-limit of profile verify is not a number from 1 to 9999"),
        (
            ["--manager", "a:b"],
            "--manager a:b is not 1 to 32 letters, digits, '_' and '-': it becomes part of a URL at Vault",
        ),
        (["--guard", "verify"], "--guard verify guards nothing: it is for profiles with access: ddl"),
        (
            ["--connection", "a/b"],
            "--connection a/b is not a name of letters, digits, '_', '-' and '.'",
        ),
        (
            ["--connection", "migrate=a", "--connection", "verify=b"],
            "The profiles migrate and verify are about one database, and --connection names two",
        ),
        (["--audit-header", "X Y"], "--audit-header X Y is not a header's name"),
        (["--issuer", "token.example.com"], "--issuer token.example.com is not a URL"),
        (["--user-claim", "repository_owner"], "--user-claim repository_owner does not fix the repository"),
        (["--vault-reaches", "db.example.com"], "--vault-reaches db.example.com is not of the form SERVER=VALUE"),
        (["--vault-reaches", "other=x:1"], "--vault-reaches names other, and no profile has its database there"),
        (
            ["--group", "verify=same", "--owner", "same"],
            "The profiles migrate and verify would share the database role same",
        ),
    ],
)
def test_answers_that_cannot_be_are_refused(setup: Setup, arguments: list[str], what: str) -> None:
    done = setup(*GITHUB, "--no-environment", "migrate", *arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.splitlines()[0] == f"stepcreds: error: {what}"


def test_a_name_that_no_statement_can_hold_is_the_configurations(setup: Setup, tmp_path: Path) -> None:
    write(tmp_path, {"verify": profile("verify", schemas=["a;b"])})
    done = setup(*GITHUB)
    assert (done.returncode, done.stdout, done.stderr) == (
        2,
        "",
        "stepcreds: error: 'app_a;b_ro' cannot stand in a statement for Vault's database engine.\n"
        "  cause: A name has 1 to 63 bytes, and none of ';', '{{', '}}', '$sc$' and the zero byte.\n"
        "  see: https://github.com/stepcreds/stepcreds/blob/v1/docs/troubleshooting.md#database-names\n",
    )


def test_the_repository_cannot_be_taken_out(setup: Setup) -> None:
    done = setup(*GITHUB, "--no-environment", "migrate", "--claim", "verify=repository_id=")
    assert done.returncode == 2
    assert done.stderr.splitlines()[-2] == "      --repository-id verify=71717171"


def test_a_claim_that_is_bound_by_itself_can_be_taken_out_and_given_another_value(setup: Setup) -> None:
    common = ("--ci", "gitlab", "--repository-id", "7", "--environment", "migrate=prod")
    assert roles(setup(*common).stdout) == {
        "app-migrate": ["project_id = 7", "environment = prod", "ref_protected = true"],
        "app-verify": ["project_id = 7", "ref_protected = true"],
    }
    done = setup(*common, "--claim", "verify=ref_protected=", "--claim", "migrate=ref_protected=false")
    assert roles(done.stdout) == {
        "app-migrate": ["project_id = 7", "environment = prod", "ref_protected = false"],
        "app-verify": ["project_id = 7"],
    }


@pytest.mark.parametrize("ci", CIS)
def test_each_ci_is_bound_by_its_own_claims(setup: Setup, ci: str) -> None:
    arguments, bound = CIS[ci]
    done = setup("--ci", ci, *arguments)
    assert (done.returncode, done.stderr) == (0, "")
    assert roles(done.stdout)["app-migrate"] == bound
    # And each of them is asked for.
    missing = setup("--ci", ci)
    assert missing.returncode == 2
    for flag in (each for each in arguments if each.startswith("--")):
        assert flag in missing.stderr or flag in ("--repository", "--branch", "--environment")


def test_a_flag_that_means_nothing_on_a_ci_is_refused(setup: Setup) -> None:
    done = setup("--ci", "buildkite", "--repository", "acme/shop", "--branch", "main", "--environment", "prod")
    assert done.stderr.splitlines()[:2] == [
        "stepcreds: error: --environment says nothing on Buildkite: its tokens have no such claim",
        "  fix: On Buildkite: --repository, --branch, --workflow, --claim.",
    ]


def test_the_ci_is_the_one_of_this_job_or_of_the_files_here(setup: Setup, tmp_path: Path) -> None:
    assert "--ci github" in setup().stderr
    answers = ("--repository-id", "7", "--branch", "main")
    (tmp_path / ".gitlab-ci.yml").write_text("a: {script: b}\n")
    assert "project_id = 7" in setup(*answers).stdout
    assert "repository_id = 7" in setup(*answers, GITHUB_ACTIONS="true").stdout


def test_a_file_of_answers_says_what_flags_say_and_flags_win(setup: Setup, tmp_path: Path) -> None:
    file = tmp_path / "setup.yml"
    first = setup(
        *GITHUB,
        "--environment",
        "migrate=production",
        "--claim",
        "actor=me",
        "--outputs",
        "verify",
        "--save-answers",
        str(file),
    )
    assert yaml.safe_load(file.read_text()) == {
        "ci": "github",
        "repository_id": "71717171",
        "claim": {"actor": "me"},
        "profiles": {"migrate": {"environment": "production"}, "verify": {"outputs": True}},
    }
    again = setup("--answers", str(file))
    assert again.stdout == first.stdout.replace(f"The answers are in {file}. ", "")
    changed = setup(
        "--answers", str(file), "--environment", "staging", "--claim", "actor=you", "--claim", "verify=ref=x"
    )
    assert roles(changed.stdout) == {
        "app-migrate": ["repository_id = 71717171", "environment = staging", "actor = you"],
        "app-verify": ["repository_id = 71717171", "environment = staging", "actor = you", "ref = x"],
        "app-verify-outputs": ["repository_id = 71717171", "environment = staging", "actor = you", "ref = x"],
    }


def test_answers_are_saved_over_older_answers_and_nothing_else(setup: Setup, tmp_path: Path) -> None:
    save = ("--branch", "main", "--save-answers", "setup.yml")
    assert [setup(*GITHUB, *save).returncode for _ in range(2)] == [0, 0]
    (tmp_path / "setup.yml").write_text("mine: 1\n")
    done = setup(*GITHUB, *save)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.splitlines()[0] == "stepcreds: error: setup.yml is there already, and has no answers in it"
    assert (tmp_path / "setup.yml").read_text() == "mine: 1\n"


def test_the_issuers_ca_is_a_file_beside_the_answers(setup: Setup, tmp_path: Path) -> None:
    (tmp_path / "answers").mkdir()
    (tmp_path / "answers" / "ca.pem").write_text("-----BEGIN CERTIFICATE-----\nMII=\n")
    (tmp_path / "answers" / "setup.yml").write_text("{ci: github, repository_id: 1, branch: main, issuer_ca: ca.pem}")
    done = setup("--answers", "answers/setup.yml", "--format", "shell")
    assert '"oidc_discovery_ca_pem": "-----BEGIN CERTIFICATE-----\\nMII=\\n"' in done.stdout
    flag = setup(*GITHUB, "--branch", "main", "--issuer-ca", "answers/ca.pem", "--format", "shell")
    assert '"oidc_discovery_ca_pem": "-----BEGIN CERTIFICATE-----\\nMII=\\n"' in flag.stdout


def test_values_in_the_file_keep_their_kind(setup: Setup, tmp_path: Path) -> None:
    """Vault compares numbers and truths with numbers and truths alone."""
    (tmp_path / "setup.yml").write_text(
        "ci: other\nissuer: https://ci\nworkflow: job\nclaim: {build: 5, manual: false, tags: [1, a]}\n"
    )
    done = setup("--answers", "setup.yml", "--format", "shell")
    assert (done.returncode, done.stderr) == (0, "")
    start = done.stdout.index("{", done.stdout.index("put auth/jwt/role/app-verify"))
    body, _ = json.JSONDecoder().raw_decode(done.stdout[start:])
    assert body["bound_claims"] == {"sub": "job", "build": 5, "manual": False, "tags": [1, "a"]}


@pytest.mark.parametrize(
    ("text", "what", "fix"),
    [
        ("[]", "it is not a mapping of names to answers", ""),
        ("a: [", "it is not YAML", ""),
        ("enviroment: x", "there is no answer enviroment", 'Did you mean "environment"?'),
        ("profiles: {verfy: {}}", "there is no profile verfy", 'Did you mean "verify"?'),
        ("profiles: {verify: {issuer: x}}", "there is no answer profiles.verify.issuer", ""),
        ("profiles: {verify: 1}", "profiles.verify is not a mapping of names to answers", ""),
        ("claim: x", "claim has a value of a form that it never has", ""),
        ("claim: {a: {b: c}}", "claim has a value of a form that it never has", ""),
        ("claim: {a: 1.5}", "claim has a value of a form that it never has", ""),
        ("branch: {a: b}", "branch has a value of a form that it never has", ""),
        ("branch: on", "branch has a value of a form that it never has", "Put it into quotation marks."),
        ("branch: [main, [x]]", "branch has a value of a form that it never has", ""),
        ("manager: [a]", "manager has a value of a form that it never has", ""),
        ("guard: sure", "guard has a value of a form that it never has", ""),
        ("vault_reaches: {db: [a]}", "vault_reaches has a value of a form that it never has", ""),
        ("issuer: 2026-11-22", "issuer has a value of a form that it never has", ""),
        (f"branch: {'x' * 300_000}", "it is longer than any answers are", ""),
    ],
)
def test_a_file_with_anything_else_is_refused(setup: Setup, tmp_path: Path, text: str, what: str, fix: str) -> None:
    (tmp_path / "setup.yml").write_text(text)
    done = setup("--answers", "setup.yml")
    assert done.returncode == 2
    first, *rest = done.stderr.splitlines()
    assert first.startswith(f"stepcreds: error: The answers in setup.yml cannot be used: {what}")
    assert fix in "\n".join(rest)


def test_files_are_readable_and_never_overwritten_without_being_asked(setup: Setup, tmp_path: Path) -> None:
    arguments = (*GITHUB, "--no-environment", "migrate", "--format", "hcl", "--out", "made/here")
    first = setup(*arguments)
    assert (first.returncode, first.stdout) == (
        0,
        "Written: made/here/policies/app-migrate.hcl\nWritten: made/here/policies/app-verify.hcl\n"
        "Written: made/here/initialize.hcl\n",
    )
    file = tmp_path / "made/here/initialize.hcl"
    assert file.stat().st_mode & 0o777 == 0o644
    file.write_text("mine")
    second = setup(*arguments)
    assert second.returncode == 2
    assert second.stderr.splitlines()[:2] == [
        "stepcreds: error: policies/app-migrate.hcl and policies/app-verify.hcl and initialize.hcl are in made/here already",
        "  fix: Name another folder, or overwrite with --force.",
    ]
    assert file.read_text() == "mine"
    assert setup(*arguments, "--force").returncode == 0
    assert file.read_text() != "mine"
    elsewhere = tmp_path / "elsewhere"
    elsewhere.write_text("theirs")
    file.unlink()
    file.symlink_to(elsewhere)
    assert setup(*arguments, "--force").returncode == 2
    assert elsewhere.read_text() == "theirs"


@pytest.mark.parametrize("form", ["text", "hcl", "terraform", "shell", "sql"])
def test_no_form_has_a_password(setup: Setup, form: str) -> None:
    done = setup(*GITHUB, "--no-environment", "migrate", "--format", form)
    assert done.returncode == 0
    assert "manager_password" not in done.stdout
    assert "<'password'>" not in done.stdout


def test_mariadb_is_written_for_its_own_client(setup: Setup, tmp_path: Path) -> None:
    url = "mysql://db.example.com:3306/app?sslmode=verify-full"
    write(tmp_path, {"verify": {"role": "v", "creds": "database/creds/v", "database": url, "access": "read-only"}})
    done = setup(*GITHUB, "--format", "sql")
    assert (done.returncode, done.stderr) == (0, "")
    assert "An administrator runs it once: mariadb < FILE\n" in done.stdout
    # No SQL: who forgets to replace it gets an error.
    assert done.stdout.count("IDENTIFIED BY <'password'>") == 1
    # A procedure has statements of its own, so the client needs another end for it.
    assert done.stdout.count("\nDELIMITER $0$\n") == done.stdout.count("$0$\nDELIMITER ;\n") == 1
    script = setup(*GITHUB, "--format", "shell").stdout
    assert '"connection_url": "{{username}}:{{password}}@tcp(db.example.com:3306)/?tls=true"' in script


def test_the_file_with_postgresqls_ca_has_to_be_on_vaults_machine(setup: Setup, tmp_path: Path) -> None:
    (tmp_path / "ca.pem").write_text("x")
    write(tmp_path, {"verify": profile("verify", database=f"{DATABASE}?sslmode=verify-full&sslrootcert=ca.pem")})
    done = setup(*GITHUB)
    assert done.returncode == 2
    assert done.stderr.splitlines()[1] == (
        "  cause: --vault-ca: the file on Vault's machine with the CA of db.example.com:5432, as the job's ca.pem is not "
        "there (system: that machine's own CAs)"
    )
    shell = ("--format", "shell")
    named = setup(*GITHUB, "--vault-ca", "db.example.com=/etc/db.pem", *shell)
    assert "/app?sslmode=verify-full&sslrootcert=/etc/db.pem" in named.stdout
    system = setup(*GITHUB, "--vault-ca", "db.example.com:5432=system", *shell)
    assert '/app?sslmode=verify-full"' in system.stdout


def test_an_option_before_apply_would_be_read_by_nobody(setup: Setup) -> None:
    done = setup("--ci", "github", "apply")
    assert (done.returncode, done.stderr.splitlines()[:2]) == (
        2,
        [
            "stepcreds: error: --ci would have no effect before `apply`",
            "  fix: Write options behind it: stepcreds setup apply --ci …",
        ],
    )


def test_on_a_terminal_what_is_missing_is_asked_for(setup: Setup, tmp_path: Path) -> None:
    """At a pseudo-terminal, and kept in a file for the next time."""
    master, slave = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "stepcreds", "setup", "--save-answers", "setup.yml"],
        cwd=tmp_path,
        env=environment(tmp_path),
        stdin=slave,
        stdout=subprocess.PIPE,
        stderr=slave,
        text=True,
    )
    os.close(slave)
    seen = b""
    with process:
        for prompt, answer in (
            (b"ci (github", b"github\n"),
            (b"repository id: ", b"71717171\n"),
            (b"environment for profile migrate: ", b"production\n"),
        ):
            while prompt not in seen:
                assert select.select([master], [], [], 30)[0], seen
                seen += os.read(master, 4096)
            os.write(master, answer)
        printed, _ = process.communicate(timeout=30)
    with suppress(OSError):
        seen += os.read(master, 4096)
    os.close(master)
    assert process.returncode == 0
    assert printed.endswith(OVERVIEW + SAVED + GO_ON)
    assert b"the repository's number, which stays its own: gh api repos/OWNER/NAME --jq .id.\r\n" in seen
    assert yaml.safe_load((tmp_path / "setup.yml").read_text()) == {
        "ci": "github",
        "repository_id": "71717171",
        "profiles": {"migrate": {"environment": "production"}},
    }
