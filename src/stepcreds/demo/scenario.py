"""What happens in the demo, in order; the words are in `story`. It believes nothing but what the servers say."""

from __future__ import annotations

import secrets
import shutil
from contextlib import closing
from importlib import resources
from pathlib import Path
from urllib.parse import quote, unquote, urlsplit

from pg8000.exceptions import DatabaseError

from stepcreds.demo.runner import Runner
from stepcreds.demo.story import Act, Story
from stepcreds.devstack import installed
from stepcreds.devstack.stack import Stack
from stepcreds.errors import StepcredsError
from stepcreds.exit_codes import BEFORE_THE_COMMAND
from stepcreds.secret import Secret

SCRIPTS = ("migrate.sql", "verify.sql", "tidy.sql")
STAGING = ("staging_orders", "staging_payments", "staging_returns")
TRUST = ("--trust", "stepcreds-trust.json")
LEDGER_KEY = "transit/keys/stepcreds-{repository_id}"
_DEBUG_LOG = "debug.log"  # where migrate.sql leaves its DATABASE_URL
APART = 6.0  # seconds, more than clocks are taken to differ by: see report/postmortem_suspects.py
_PSQL_ERROR = 3  # psql's exit code for a script that an error ended


def play(stack: Stack, story: Story, ledger: Path | None = None) -> None:
    """Every act and the ledger, on a fresh stack. Raises `StepcredsError` where the servers say something else.

    With `ledger`, a folder, one more: a table is missing, and the signed ledger, which is kept there, tells of it.
    """
    prepare(stack)
    runner = Runner(stack.folder, step_environment(stack), story.output)
    story.opening(STAGING)
    before = today(stack, runner, story)
    after = with_stepcreds(stack, runner, story)
    widened(stack, runner, story)
    on_record(stack, runner, story)
    story.side_by_side(before, after)
    if ledger is not None:
        missing(stack, runner, story, ledger)


def on_record(stack: Stack, runner: Runner, story: Story) -> None:
    """The ledger, and its check by somebody who has Vault's public keys and asks nobody."""
    story.ledger()
    operator = {"VAULT_ADDR": stack.address, "VAULT_TOKEN": stack.openbao.root_token.reveal()}
    trust = " ".join(TRUST)
    for words, variables in (
        ("trust export", operator),
        (f"show {trust}", {}),
        (f"verify {trust} --require-signed", {}),
    ):
        command = ["stepcreds", "ledger", *words.split()]
        story.command(command)
        _expect(runner.run(command, **variables) == 0, "the ledger was not found in order")


def prepare(stack: Stack) -> None:
    """The pipeline's own folder: its two scripts and a stepcreds.yml."""
    for name in SCRIPTS:
        (stack.folder / name).write_text(resources.files(__package__).joinpath(name).read_text())
    stack.write_config(stack.folder)


def step_environment(stack: Stack) -> dict[str, str]:
    """A step's: the CI's variables, `psql` on the PATH, and the variable that somebody left over from staging."""
    environment = stack.environment(STAGING="1", PSQLRC="/dev/null")
    return environment | {"PATH": f"{installed.psql().parent}:{environment['PATH']}"}


def today(stack: Stack, runner: Runner, story: Story) -> Act:
    """One credential for the whole job: the cleanup of verification drops three tables."""
    story.act_today()
    password = secrets.token_urlsafe(18)
    stack.sql(f"CREATE ROLE deploy LOGIN IN ROLE app_owner PASSWORD '{password}'")
    stack.sql("ALTER ROLE deploy SET role = 'app_owner'")
    stack.sql("GRANT CONNECT ON DATABASE shop TO deploy")
    job = _variables(stack, "deploy", password)
    for step in ("migrate", "verify"):
        command = ["psql", "-f", f"{step}.sql"]
        story.command(command)
        _expect(runner.run(command, **job) == 0, f"{step} failed, which it does not do today")
    rows = staging_rows(stack)
    story.staging(rows)
    _expect(set(rows.values()) == {None}, "the tables should be gone")
    refusal = _try_leaked_url(stack)
    story.leaked_today(refusal)
    _expect(not refusal, "the long-lived credential should still work")
    story.restoring()
    stack.sql("DROP OWNED BY deploy")
    stack.sql("DROP ROLE deploy")
    stack.sql("ALTER TABLE app.orders DROP COLUMN delivery_note")
    stack.load("staging.sql")
    return Act(rows, refusal)


def with_stepcreds(stack: Stack, runner: Runner, story: Story) -> Act:
    """The same scripts, each under `stepcreds exec`: the cleanup is refused, and the migration's credential is dead."""
    story.act_with_stepcreds()
    before = staging_rows(stack)
    command = ["stepcreds", "exec", "migrate", "--", "psql", "-f", "migrate.sql"]
    story.command(command)
    _expect(runner.run(command, GITHUB_ACTION="migrate") == 0, "the migration failed")
    refusal, issued = _try_leaked_url(stack), stack.issued_roles()
    story.leaked_with_stepcreds(refusal, issued)
    _expect(bool(refusal) and not issued, "the migration's credential should be dead")
    command = ["stepcreds", "exec", "verify", "--", "psql", "-f", "verify.sql"]
    story.command(command)
    code = runner.run(command, GITHUB_ACTION="verify")
    rows = staging_rows(stack)
    story.refused(code)
    story.staging(rows)
    _expect(code == _PSQL_ERROR and rows == before, "PostgreSQL should have refused the cleanup")
    return Act(rows, refusal)


def widened(stack: Stack, runner: Runner, story: Story) -> None:
    """Verification's role at OpenBao quietly gives what the migration's gives: the step ends before its command."""
    story.act_widened()
    before = staging_rows(stack)
    with stack.client() as client:
        reading, migrating = (client.read(f"database/roles/app-{name}")["data"] for name in ("verify", "migrate"))
        client.write_data("database/roles/app-verify", data=migrating)
        command = ["stepcreds", "exec", "verify", "--", "psql", "-f", "verify.sql"]
        story.command(command)
        code = runner.run(command, GITHUB_ACTION="verify")
        client.write_data("database/roles/app-verify", data=reading)
    issued = stack.issued_roles()
    story.too_wide(code, issued)
    _expect(code == BEFORE_THE_COMMAND and not issued, "the credential should have been refused, and dead")
    _expect(staging_rows(stack) == before, "nothing should have changed")


def missing(stack: Stack, runner: Runner, story: Story, kept: Path) -> None:
    """A step that may drop a table drops one; who it was, its ledger tells somebody who was not there."""
    story.act_missing(APART)
    stack.clock.sleep(APART)
    command = ["stepcreds", "exec", "migrate", "--", "psql", "-f", "tidy.sql"]
    story.command(command)
    _expect(runner.run(command, GITHUB_ACTION="tidy") == 0, "the migration's profile should be able to drop a table")
    _expect(staging_rows(stack)["staging_returns"] is None, "the table should be gone")
    gone = (stack.folder / "missing.txt").read_text().strip()
    story.missing(gone)
    run = str(stack.issuer.claims["run_id"])
    question = ["stepcreds", "ledger", "postmortem", *TRUST, "--run", run, "--at", gone, "--needs", "ddl"]
    answer = stack.folder / "postmortem.md"
    closing = ["stepcreds", "revoke", "--all"]
    check = ["stepcreds", "ledger", "verify", *TRUST, "--require-signed"]
    for asked in (closing, check, [*question, "--output", answer.name]):
        story.command(asked)
        _expect(runner.run(asked) == 0, f"{' '.join(asked[:3])} failed")
    head = answer.read_text().partition("### Cannot be excluded")[0].partition("## Who")[2]
    story.answer(f"## Who{head}".strip().splitlines())
    _expect("`tidy`" in head, "the step should have been named")
    chains = (stack.folder / ".stepcreds").glob("*.[jc]*")
    for file in (answer, stack.folder / "stepcreds-trust.json", *sorted(chains)):
        shutil.copyfile(file, kept / file.name)
    story.kept(kept)


def staging_rows(stack: Stack) -> dict[str, int | None]:
    """The rows of the three tables, asked of the database; None for one that is gone."""
    there = {row[0] for row in stack.sql("SELECT tablename FROM pg_tables WHERE schemaname = 'app'")}
    return {
        name: int(stack.sql(f"SELECT count(*) FROM app.{name}")[0][0]) if name in there else None  # noqa: S608 - our names
        for name in STAGING
    }


def _variables(stack: Stack, user: str, password: str) -> dict[str, str]:
    """The credential as a CI's secret store puts it into a job's environment."""
    host, port = stack.database.host, str(stack.database.port)
    return {
        "PGHOST": host,
        "PGPORT": port,
        "PGDATABASE": stack.database.database,
        "PGUSER": user,
        "PGPASSWORD": password,
        "DATABASE_URL": f"postgresql://{user}:{quote(password)}@{host}:{port}/{stack.database.database}",
    }


def _try_leaked_url(stack: Stack) -> str:
    """What PostgreSQL says to a login with the URL in the debug log, "FATAL 28P01: …"; "" if it lets us in.

    The log is removed.
    """
    log: Path = stack.folder / _DEBUG_LOG
    url = urlsplit(log.read_text().strip())
    log.unlink()
    user, password = unquote(url.username or ""), Secret(unquote(url.password or ""))
    _expect(bool(user and password), "the migration left no URL behind")
    try:
        with closing(stack.connect(user, password)):
            return ""
    except DatabaseError as error:
        fields = error.args[0]
        return f"{fields['S']} {fields['C']}: {fields['M']}"


def _expect(holds: bool, otherwise: str) -> None:
    if not holds:
        raise StepcredsError(f"The demo did not go as it should: {otherwise}.", docs="demo")
