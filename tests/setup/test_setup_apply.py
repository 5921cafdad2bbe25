"""`setup apply` on a real OpenBao and PostgreSQL: from nothing to a step that works, and nothing twice."""

from __future__ import annotations

import json
import os
import pty
import re
import select
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from typing import NamedTuple

import pytest
import yaml
from fresh_shop import Shop, applied, shop  # noqa: F401 - fixtures
from step_runs import until

from postgresql_programs import MAJORS, programs
from stepcreds.devstack.issuer import Issuer
from stepcreds.devstack.openbao import OpenBao
from stepcreds.devstack.postgresql import PostgreSQL
from stepcreds.devstack.stack import Stack
from stepcreds.secret import Secret

# ruff: noqa: F811, S608 - pytest hands a fixture in under the name it was imported with; the names in SQL are ours

SEE = "  see: https://github.com/stepcreds/stepcreds/blob/v1/docs/troubleshooting.md#"


class _Servers(NamedTuple):
    openbao: OpenBao
    postgresql: PostgreSQL
    issuer: Issuer


@pytest.fixture(params=MAJORS)
def empty(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Shop]:
    """A shop whose servers have nothing in them but its tables."""
    with ExitStack() as running:
        openbao, postgresql = OpenBao(), PostgreSQL(programs=programs(request.param))
        running.callback(openbao.stop)
        running.callback(postgresql.stop)
        openbao.launch()
        postgresql.launch()
        openbao.wait()
        postgresql.wait()
        yield Shop(_Servers(openbao, postgresql, running.enter_context(Issuer())), tmp_path)


def test_from_nothing_to_a_working_step_with_nothing_done_by_hand(empty: Shop) -> None:
    policy = empty.setup("apply", "--print-policy", VAULT_TOKEN=None, STEPCREDS_DATABASE_ADMIN_URL=None)
    assert policy.returncode == 0, policy.stderr
    empty.token = empty.operator(policy.stdout)
    empty.sql("ALTER SYSTEM SET log_statement = 'all'", "SELECT pg_reload_conf()")
    first = empty.setup("apply", "--yes")
    assert first.returncode == 0, first.stdout + first.stderr
    assert first.stdout.splitlines()[-1].startswith("Nothing has drifted; ")
    # A server that logs every statement got no password in clear: not stepcreds' first, and not OpenBao's own.
    log = (empty.servers.postgresql.folder / "postgresql.log").read_text()
    passwords = re.findall(r"PASSWORD '([^']*)'", log)
    assert len(passwords) >= 3
    assert [each for each in passwords if not each.startswith("SCRAM-SHA-256$")] == []
    # The first password was replaced at once by one that OpenBao made.
    rotated = [entry["request"]["path"] for entry in audit(empty) if "rotate-root" in entry["request"]["path"]]
    assert set(rotated) == {f"{empty.engine}/rotate-root/{empty.name}"}

    verify = empty.step("exec", "verify", "--", "sh", "-c", 'test -n "$DATABASE_URL"')
    assert verify.returncode == 0, verify.stderr
    migrate = empty.step("exec", "migrate", "--", sys.executable, "-c", MIGRATION, f"{empty.name}.invoices")
    assert migrate.returncode == 0, migrate.stderr
    # What the migration made belongs to the owner, and a reader may read it.
    assert empty.sql(
        f"SELECT tableowner, has_table_privilege('{empty.group}', '{empty.name}.invoices', 'SELECT')"
        f" FROM pg_tables WHERE tablename = 'invoices'"
    ) == [[empty.owner, True]]
    assert empty.sql("SELECT count(*) FROM pg_roles WHERE rolname LIKE 'v-%'") == [[0]]

    scope = empty.step("scope", "--all")
    assert scope.returncode == 0, scope.stdout + scope.stderr

    password = empty.password()
    second = empty.setup("apply", "--yes")
    assert (second.returncode, "Nothing to do." in second.stdout.splitlines()) == (0, True), second.stdout
    assert empty.password() == password

    role = f"{empty.engine}/roles/{empty.name}-verify"
    wanted = empty.read(role)
    empty.write(role, revocation_statements=[])
    empty.sql(f"GRANT CONNECT ON DATABASE {empty.name} TO PUBLIC")
    found = empty.setup("check")
    assert (found.returncode, found.stdout.splitlines()[-1].partition(";")[0]) == (1, "2 differences"), found.stdout
    mended = empty.setup("apply", "--yes")
    assert mended.returncode == 0, mended.stdout + mended.stderr
    assert empty.read(role) == wanted
    assert empty.setup("check").returncode == 0


MIGRATION = """
import os, sys
from urllib.parse import urlsplit
from pg8000.native import Connection
url = urlsplit(os.environ["DATABASE_URL"])
with Connection(url.username, url.hostname, url.path[1:], url.port, url.password) as connection:
    connection.run("CREATE TABLE " + sys.argv[1] + " (id int)")
"""


def audit(shop: Shop) -> list[dict[str, dict[str, str]]]:
    return [json.loads(line) for line in shop.servers.openbao.audit_log.read_text().splitlines()]


class TestBeforeAnythingIsChanged:
    @pytest.fixture(autouse=True)
    def untouched(self, shop: Shop) -> Iterator[None]:
        yield
        with shop.vault() as client:
            assert f"{shop.mount}/" not in client.read("sys/auth")["data"]
            assert f"{shop.engine}/" not in client.read("sys/mounts")["data"]
        assert shop.sql(f"SELECT rolname FROM pg_roles WHERE rolname IN ('{shop.group}', '{shop.manager}')") == []

    def test_a_dry_run_shows_everything_and_does_nothing(self, shop: Shop) -> None:
        run = shop.setup("apply", "--dry-run")
        assert (run.returncode, run.stderr) == (1, "")
        lines = run.stdout.splitlines()
        assert f"  + auth/{shop.mount}/role/{shop.name}-migrate  Which jobs may log in for migrate." in lines
        assert '      bound_claims: {"repository_id": "71717171", "environment": "production"}' in lines
        assert "      password: (made by stepcreds, then known to Vault alone)" in lines
        assert (
            f"~ {shop.manager} gets a new password, which Vault alone will know: Vault has no connection with it yet."
            in " ".join(run.stdout.split())
        )
        assert re.fullmatch(r"11 to create, \d+ to run at databases, 1 to get a new password\.", lines[-1])

    def test_nobody_is_asked_where_there_is_no_terminal(self, shop: Shop) -> None:
        run = shop.setup("apply")
        assert (run.returncode, run.stderr) == (
            2,
            "stepcreds: error: Nobody can be asked here whether this is to be done, and nothing was\n"
            "  fix: Look at it with --dry-run, and then say --yes.\n"
            f"{SEE}setup-apply\n",
        )

    def test_what_the_token_may_not_do_is_told_whole_and_is_then_enough(self, shop: Shop) -> None:
        shop.token = shop.operator('path "sys/capabilities-self" {\n  capabilities = ["update"]\n}\n')
        run = shop.setup("apply", "--yes")
        assert run.returncode == 1
        assert run.stderr.startswith(
            "stepcreds: error: Your Vault token may not do all of this, and nothing was changed\n"
            f"  cause: auth/{shop.mount}/config: create, read, update\n"
            f"    auth/{shop.mount}/role/{shop.name}-migrate: create, read, update\n"
        )
        assert f"    sys/auth/{shop.mount}: create, update, sudo\n" in run.stderr
        assert run.stderr.endswith(
            "    The whole policy that `setup apply` needs: stepcreds setup apply --print-policy\n"
            f"{SEE}setup-capabilities\n"
        )
        # The policy in the message, as somebody would paste it.
        _, _, fix = run.stderr.partition("  fix: As a policy, with what the token has there already:\n")
        policy, _, _ = fix.partition("    The whole policy")
        shop.token = shop.operator(policy + 'path "sys/capabilities-self" {\n  capabilities = ["update"]\n}\n')
        assert shop.setup("apply", "--dry-run").returncode == 1
        assert shop.setup("apply", "--dry-run").stderr == ""

    def test_a_token_that_vault_does_not_know(self, shop: Shop) -> None:
        run = shop.setup("apply", "--yes", VAULT_TOKEN="hvs.nobody")
        assert (run.returncode, run.stderr) == (
            1,
            f"stepcreds: error: Vault at {shop.address} answered 403 to POST sys/capabilities-self: permission denied\n"
            "  cause: Vault does not know the token that you gave (any longer): it has expired or was revoked.\n"
            "  fix: Log in again: vault login (or bao login)\n"
            f"{SEE}vault-token-gone\n",
        )

    def test_a_connection_needs_somebody_who_can_set_its_first_password(self, shop: Shop) -> None:
        run = shop.setup("apply", "--yes", STEPCREDS_DATABASE_ADMIN_URL=None)
        port = shop.servers.postgresql.port
        assert (run.returncode, run.stderr) == (
            2,
            f"stepcreds: error: Vault's connection {shop.engine}/config/{shop.name} needs a password of {shop.manager} at "
            f"127.0.0.1:{port}, and there is no administrator of the database to set one\n"
            "  cause: Vault replaces the password at once by one that it alone knows, but somebody has to set the first. "
            "Nothing was changed.\n"
            "  fix: Give the administrator's URL in an environment variable: --database-admin VARIABLE\n"
            "    Or let the database's administrator run what `stepcreds setup --format sql` prints, write the "
            "connection as `stepcreds setup --format shell` shows it, and come back for the rest.\n"
            f"{SEE}setup-administrator\n",
        )
        assert (
            "  ? not looked at: there is no administrator's URL (--database-admin VARIABLE)." in run.stdout.splitlines()
        )

    def test_a_statement_that_fails_takes_the_others_with_it(self, shop: Shop) -> None:
        shop.sql(
            f"CREATE ROLE {shop.name}_somebody",
            f"ALTER TABLE {shop.name}.customers OWNER TO {shop.name}_somebody",
        )
        # Nobody can ask whether this will be so.
        shop.sql(
            "CREATE FUNCTION public.no_grant() RETURNS event_trigger LANGUAGE plpgsql"
            " AS $$BEGIN RAISE EXCEPTION 'not here'; END$$",
            "CREATE EVENT TRIGGER no_grant ON ddl_command_start WHEN TAG IN ('GRANT') EXECUTE FUNCTION public.no_grant()",
            f"ALTER TABLE {shop.name}.customers OWNER TO {shop.owner}",
        )
        run = shop.setup("apply", "--yes")
        assert run.returncode == 1
        lines = run.stdout.splitlines()
        assert f"not done auth/{shop.mount}/config" in lines
        assert lines[-1] == "What was done stays; the next `stepcreds setup apply` does the rest."
        assert not [line for line in lines if line.startswith("done ")]
        assert (
            "said: not here. All statements for this database are one transaction: nothing of it is there."
            in run.stderr
        )
        assert run.stderr.endswith(f"{SEE}setup-statement\n")


class TestTheUsualShop:
    """The tables are the application's own, which logs in."""

    @pytest.fixture
    def usual(self, shop: Shop) -> Shop:
        shop.sql(
            f"ALTER ROLE {shop.owner} RENAME TO app_{shop.name}", f"ALTER ROLE app_{shop.name} LOGIN PASSWORD 'l0g'"
        )
        return shop

    def test_it_is_told_before_anything_is_changed_how_the_tables_get_an_owner(self, usual: Shop) -> None:
        shop, place = usual, f"127.0.0.1:{usual.servers.postgresql.port}/{usual.name}"
        told = (
            f"2 relation(s) do not belong to {shop.owner}: {shop.name}.customers of app_{shop.name}, {shop.name}.orders of "
            f"app_{shop.name}"
        )
        run = shop.setup("apply", "--yes")
        assert run.returncode == 1
        assert f" ! it would fail: {told}." in " ".join(run.stdout.split())
        head, _, statement = run.stderr.partition("unless it says SET ROLE:\n")
        assert head == (
            f"stepcreds: error: {place} is not ready, and nothing was changed: {told}\n"
            "  fix: A migration could not alter them. Where they belong to one role that cannot log in, name that one: "
            "--owner migrate=NAME\n"
            f"    Else give them to {shop.owner}, once, as a superuser, in this database, in a quiet moment (each is "
            "locked). Who has them now goes on as before, as a member of the new owner; what it makes later is its own "
            "again, "
        )
        statement, see, _ = statement.partition(f"{SEE}setup-not-ready\n")
        assert see
        assert shop.sql(f"SELECT FROM pg_roles WHERE rolname = '{shop.manager}'") == []
        drift = json.loads(shop.setup("check", "--json").stdout)["drift"]
        (refused,) = [each for each in drift if each["code"] == "database.refused"]
        assert (refused["place"], refused["what"]) == (place, f"{told}.")
        assert refused["fix"].splitlines()[2:] == [line[4:] for line in statement.splitlines()]
        # As it stands there.
        shop.sql(statement)
        done = shop.setup("apply", "--yes")
        assert done.returncode == 0, done.stdout + done.stderr
        migrate = shop.step("exec", "migrate", "--", sys.executable, "-c", MIGRATION, f"{shop.name}.invoices")
        assert migrate.returncode == 0, migrate.stderr
        assert shop.step("exec", "verify", "--", "true").returncode == 0
        with closing(shop.servers.postgresql.connect(f"app_{shop.name}", Secret("l0g"), shop.name)) as application:
            application.run(f"INSERT INTO {shop.name}.orders VALUES (99, 'as before')")

    def test_the_application_itself_is_no_owner(self, usual: Shop) -> None:
        """Nor what is a member of it: the measurement would refuse what setup had granted."""
        shop, place = usual, f"127.0.0.1:{usual.servers.postgresql.port}/{usual.name}"
        run = shop.setup("apply", "--yes", "--owner", f"app_{shop.name}")
        assert (run.returncode, run.stderr) == (
            1,
            f"stepcreds: error: {place} is not ready, and nothing was changed: app_{shop.name} can log in: its members "
            "could set its password, and go on as it\n"
            "  fix: Name a role that cannot, and that need not be there yet: --owner migrate=NAME\n"
            "    Where the tables belong to one that can, setup then shows the way to give them to the new one.\n"
            f"{SEE}setup-not-ready\n",
        )
        shop.sql(f"CREATE ROLE {shop.owner} NOLOGIN", f"GRANT app_{shop.name} TO {shop.owner}")
        run = shop.setup("apply", "--yes")
        assert (run.returncode, run.stderr) == (
            1,
            f"stepcreds: error: {place} is not ready, and nothing was changed: {shop.owner} is a member of what can log "
            f"in, or has power of its own: app_{shop.name}\n"
            f'  fix: Take it out there, REVOKE … FROM "{shop.owner}"; or name another role for the profile: --owner '
            "migrate=NAME\n"
            f"{SEE}setup-not-ready\n",
        )


class TestTwoConfigurationsOfOneServer:
    @pytest.fixture
    def two(self, stack: Stack, tmp_path: Path) -> Iterator[tuple[Shop, Shop]]:
        """Two shops that nobody has set up, both with the tables in a schema `app`."""
        shops = []
        for name in ("one", "two"):
            (tmp_path / name).mkdir()
            made = Shop(stack, tmp_path / name)
            shops.append(made)
            config = tmp_path / name / "stepcreds.yml"
            config.write_text(config.read_text().replace(f"[{made.name}]", "[app]"))
            made.sql(
                f"ALTER SCHEMA {made.name} RENAME TO app", f"ALTER ROLE {made.owner} RENAME TO {made.name}_app_owner"
            )
        yield shops[0], shops[1]
        for each in shops:
            each.remove()

    def test_each_has_roles_of_its_own(self, two: tuple[Shop, Shop]) -> None:
        for each in two:
            run = each.setup("apply", "--yes")
            assert run.returncode == 0, run.stdout + run.stderr
        for each in two:
            for profile in ("migrate", "verify"):
                step = each.step("exec", profile, "--", "true")
                assert step.returncode == 0, step.stderr
            assert each.sql(f"SELECT count(*) FROM pg_roles WHERE rolname = '{each.name}_app_ro'") == [[1]]

    def test_a_group_is_not_taken_from_the_other(self, two: tuple[Shop, Shop]) -> None:
        first, second = two
        group = f"{first.name}_ours"
        assert first.setup("apply", "--yes", "--group", group).returncode == 0
        run = second.setup("apply", "--yes", "--group", group)
        assert (run.returncode, run.stderr) == (
            1,
            f"stepcreds: error: 127.0.0.1:{second.servers.postgresql.port}/{second.name} is not ready, and nothing was "
            f"changed: {group} is another group already: it has rights in {first.name}\n"
            "  fix: A server has one set of roles for all its databases, so each's users would have the rights of both. "
            "Name another: --group verify=NAME\n"
            f"{SEE}setup-not-ready\n",
        )
        assert first.step("exec", "verify", "--", "true").returncode == 0


@pytest.mark.parametrize(("answer", "code", "there"), [("n", 1, False), ("y", 0, True)])
def test_on_a_terminal_it_asks(shop: Shop, answer: str, code: int, there: bool) -> None:
    ours, theirs = pty.openpty()
    shown = b""
    try:
        with subprocess.Popen(
            shop.command("apply"),
            cwd=shop.folder,
            env=shop.environment(TERM="dumb"),
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
        ) as running:
            while b"Do it? [y/N]: " not in shown:
                shown += os.read(ours, 65536)
            os.write(ours, f"{answer}\n".encode())
            while running.poll() is None or select.select([ours], [], [], 0)[0]:
                if select.select([ours], [], [], 0.01)[0]:
                    shown += os.read(ours, 65536)
    finally:
        os.close(ours)
        os.close(theirs)
    said = shown.decode()
    shop.assert_no_secret(said)
    assert running.returncode == code, said
    with shop.vault() as client:
        assert (f"{shop.mount}/" in client.read("sys/auth")["data"]) is there
    assert ("stepcreds: error: Nothing was changed\r\n" in said) is not there


class TestAdministrator:
    @pytest.mark.parametrize("form", ["postgresql://root:{}@127.0.0.1/", "127.0.0.1:1=postgresql://root:{}@127.0.0.1/"])
    def test_a_url_is_no_argument(self, shop: Shop, form: str) -> None:
        secret = shop.servers.postgresql.password.reveal()
        run = shop.setup("apply", "--dry-run", "--database-admin", form.format(secret))
        assert (run.returncode, run.stdout, run.stderr) == (
            2,
            "",
            "stepcreds: error: --database-admin takes the name of a variable, not a URL\n"
            "  cause: A URL with a password on the command line is in the process list and in the shell's history. This "
            "one may be there now: change the password.\n"
            "  fix: Put it into the environment, and name the variable: --database-admin ADMIN_URL\n"
            f"{SEE}setup-administrator\n",
        )

    def test_nothing_is_run_at_a_server_that_no_profile_names(self, shop: Shop) -> None:
        port = shop.servers.postgresql.port
        elsewhere = shop.administrator.reveal().replace("127.0.0.1", "localhost")
        run = shop.setup("apply", "--dry-run", STEPCREDS_DATABASE_ADMIN_URL=elsewhere)
        assert (run.returncode, run.stdout, run.stderr) == (
            2,
            "",
            "stepcreds: error: The administrator's URL in STEPCREDS_DATABASE_ADMIN_URL is for postgresql at "
            f"localhost:{port}: no profile has a database there\n"
            "  cause: Nothing is run at a server that the configuration does not name.\n"
            f"  fix: The databases are at: 127.0.0.1:{port}.\n"
            "    Where the administrator reaches one under another address, say which: --database-admin "
            f"127.0.0.1:{port}=STEPCREDS_DATABASE_ADMIN_URL\n"
            f"{SEE}setup-administrator\n",
        )
        named = ("--database-admin", f"127.0.0.1:{port}=OTHER")
        assert shop.setup("apply", "--dry-run", *named, OTHER=elsewhere).stderr == ""

    def test_a_variable_that_is_not_set_or_holds_no_url(self, shop: Shop) -> None:
        run = shop.setup("apply", "--dry-run", "--database-admin", "NOWHERE")
        assert (run.returncode, run.stderr.splitlines()[0]) == (
            2,
            "stepcreds: error: The variable NOWHERE of --database-admin is not set",
        )
        secret = shop.servers.postgresql.password.reveal()
        run = shop.setup("apply", "--dry-run", STEPCREDS_DATABASE_ADMIN_URL=f"postgresql://postgres/{secret}")
        assert (run.returncode, run.stderr.splitlines()[0]) == (
            2,
            "stepcreds: error: The URL in the variable STEPCREDS_DATABASE_ADMIN_URL cannot be used: it is not the URL of "
            "a database with one user and one password",
        )

    def test_a_wrong_password(self, shop: Shop) -> None:
        secret = shop.servers.postgresql.password.reveal()
        wrong = shop.administrator.reveal().replace(secret, "wr0ng-one")
        run = shop.setup("apply", "--dry-run", STEPCREDS_DATABASE_ADMIN_URL=wrong)
        port = shop.servers.postgresql.port
        assert "wr0ng-one" not in run.stdout + run.stderr
        assert (run.returncode, run.stderr) == (
            1,
            "stepcreds: error: The administrator of $STEPCREDS_DATABASE_ADMIN_URL is not let in: "
            f'127.0.0.1:{port} said: password authentication failed for user "postgres"\n'
            "  fix: Look at the URL in $STEPCREDS_DATABASE_ADMIN_URL.\n"
            f"{SEE}setup-administrator\n",
        )

    def test_a_database_that_is_not_there(self, shop: Shop) -> None:
        text = (shop.folder / "stepcreds.yml").read_text()
        (shop.folder / "stepcreds.yml").write_text(text.replace(f"/{shop.name}?", "/sh%22op?"))
        run = shop.setup("apply", "--dry-run")
        port = shop.servers.postgresql.port
        assert (run.returncode, run.stdout, run.stderr) == (
            1,
            "",
            f'stepcreds: error: There is no database sh"op at 127.0.0.1:{port}\n'
            "  cause: The administrator was let in; the profiles' `database` names one that the server does not have. "
            "setup makes what a database needs, and no database.\n"
            '  fix: Correct `database` in stepcreds.yml, or make it: CREATE DATABASE "sh""op"\n'
            f"{SEE}setup-no-database\n",
        )


class TestWithoutASuperuser:
    """As managed services have it: an administrator who makes roles, and owns the database, and not the server's."""

    def test_what_is_not_theirs_to_change_is_left_and_told(self, shop: Shop) -> None:
        boss = f"boss_{shop.name}"
        shop.sql(
            f"CREATE ROLE {boss} LOGIN CREATEROLE PASSWORD 'b0ss'",
            f"ALTER DATABASE {shop.name} OWNER TO {boss}",
            f"GRANT {shop.owner} TO {boss} WITH ADMIN TRUE, INHERIT TRUE",
            "GRANT CONNECT ON DATABASE template1 TO PUBLIC",
        )
        port = shop.servers.postgresql.port
        url = f"postgresql://{boss}:b0ss@127.0.0.1:{port}/?sslmode=disable"
        left = (
            "only the owner of the database can change it: An issued user who can log in to template1 can make a large "
            "object there,"
        )
        try:
            first = shop.setup("apply", "--yes", STEPCREDS_DATABASE_ADMIN_URL=url)
            assert first.returncode == 0, first.stdout + first.stderr
            assert f" . left as it is, {left}" in " ".join(first.stdout.split())
            second = shop.setup("apply", "--yes", STEPCREDS_DATABASE_ADMIN_URL=url)
            assert (second.returncode, "Nothing to do." in second.stdout.splitlines()) == (0, True), second.stdout
            check = shop.setup("check", "--json", STEPCREDS_DATABASE_ADMIN_URL=url)
            report = json.loads(check.stdout)
            assert (check.returncode, report["drift"]) == (0, [])
            assert report["notes"][0].startswith(
                f"127.0.0.1:{port}/{shop.name}: not so, and only the owner of the database can change it. An issued user"
            )
            # Who owns it mends it.
            assert [drift.code for drift in shop.check().drift] == ["database.statement"]
            assert shop.check(mend=True).drift == ()
        finally:
            shop.sql(
                "REVOKE CONNECT ON DATABASE template1 FROM PUBLIC",
                f"ALTER DATABASE {shop.name} OWNER TO postgres",
            )
        for profile in ("migrate", "verify"):
            assert shop.step("exec", profile, "--", "true").returncode == 0

    def test_who_may_only_look_sees_it_as_a_difference(self, applied: Shop) -> None:
        user = f"looking_{applied.name}"
        applied.sql(
            f"CREATE ROLE {user} LOGIN PASSWORD 'l00k'",
            f"GRANT CONNECT ON DATABASE {applied.name} TO PUBLIC",
        )
        url = f"postgresql://{user}:l00k@127.0.0.1:{applied.servers.postgresql.port}/?sslmode=disable"
        run = applied.setup("check", "--json", STEPCREDS_DATABASE_ADMIN_URL=url)
        assert applied.check(mend=True).drift == ()
        assert (run.returncode, [drift["code"] for drift in json.loads(run.stdout)["drift"]]) == (
            1,
            ["database.statement"],
        )


class TestPartly:
    def test_what_fails_on_the_way_is_told_and_done_the_next_time(self, shop: Shop) -> None:
        answers = shop.folder / "setup.yml"
        right = answers.read_text()
        port = shop.servers.postgresql.port
        answers.write_text(f"{right}vault_reaches:\n  127.0.0.1:{port}: 127.0.0.1:1\n")
        run = shop.setup("apply", "--yes")
        assert run.returncode == 1
        lines = run.stdout.splitlines()
        assert f"done auth/{shop.mount}/role/{shop.name}-verify" in lines
        assert f"not done {shop.engine}/config/{shop.name}, for no role yet" in lines
        assert f"not done {shop.engine}/roles/{shop.name}-verify" in lines
        assert f"POST {shop.engine}/config/{shop.name}: error creating database object" in run.stderr
        answers.write_text(right)
        again = shop.setup("apply", "--yes")
        assert f"done {shop.engine}/config/{shop.name}, for its roles" in again.stdout.splitlines()
        assert again.returncode == 0, again.stdout + again.stderr
        assert not [line for line in again.stdout.splitlines() if line.startswith("done auth/")]
        assert shop.read(f"{shop.engine}/creds/{shop.name}-verify")["username"].startswith("v-")

    @pytest.mark.parametrize("administered", [True, False])
    def test_a_connection_is_for_no_role_until_vault_alone_knows_the_password(
        self, shop: Shop, administered: bool
    ) -> None:
        """As a run leaves it that ends between the connection and its new password."""
        policy = shop.setup("apply", "--print-policy").stdout
        # capabilities-self does not tell what a policy says of parameters.
        rotate = f'path "{shop.engine}/rotate-root/{shop.name}" {{\n'
        assert rotate in policy
        shop.token = shop.operator(policy.replace(rotate, f'{rotate}  required_parameters = ["none"]\n'))
        run = shop.setup("apply", "--yes")
        assert run.returncode == 1
        assert [line for line in run.stdout.splitlines() if line.startswith("not done")][:2] == [
            f"not done {shop.engine}/rotate-root/{shop.name}: from here on Vault alone knows the password of {shop.manager}",
            f"not done {shop.engine}/config/{shop.name}, for its roles",
        ]
        assert shop.read(f"{shop.engine}/config/{shop.name}")["allowed_roles"] == []
        before = shop.password()
        shop.token = shop.servers.openbao.root_token
        again = shop.setup("apply", "--yes", *([] if administered else ["--without-databases"]))
        assert again.returncode == 0, again.stdout + again.stderr
        assert "an earlier run did not get that far." in " ".join(again.stdout.split())
        assert before != shop.password()
        assert shop.read(f"{shop.engine}/creds/{shop.name}-verify")["username"].startswith("v-")

    def test_wherever_a_run_is_killed_the_next_one_finishes(self, stack: Stack, tmp_path: Path) -> None:
        left, number = 1, 0
        while left:
            (folder := tmp_path / str(number)).mkdir()
            shop = Shop(stack, folder)
            try:
                left = len(shop.check(mend=True, first=number).drift)
                assert shop.check(mend=True).drift == (), number
                for profile in ("migrate", "verify"):
                    assert shop.read(f"{shop.engine}/creds/{shop.name}-{profile}")["username"].startswith("v-"), number
            finally:
                shop.remove()
            number += 1
        # All steps of an empty Vault and database, and once more with all of them.
        assert number == 15

    def test_whoever_interrupts_learns_what_was_done(self, shop: Shop) -> None:
        with closing(shop.servers.postgresql.connect(database=shop.name)) as other:
            other.run("BEGIN")
            other.run(f"CREATE ROLE {shop.group}")  # ours waits for what becomes of it
            running = subprocess.Popen(
                shop.command("apply", "--yes"),
                cwd=shop.folder,
                env=shop.environment(),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
            )
            waiting = f"SELECT 1 FROM pg_stat_activity WHERE datname = '{shop.name}' AND wait_event_type = 'Lock'"
            until(lambda: shop.sql(waiting) or running.poll() is not None, "a statement that waits")
            assert running.poll() is None
            running.send_signal(signal.SIGTERM)
            said, _ = running.communicate(timeout=60)
            other.run("ROLLBACK")
        assert running.returncode == 130
        lines = said.splitlines()
        number = next(line for line in lines if line.startswith("not done"))
        assert re.fullmatch(rf"not done 127\.0\.0\.1:\d+/{shop.name}: \d+ statements \(it may have been\)", number)
        assert f"not done auth/{shop.mount}/config" in lines
        assert shop.setup("apply", "--yes").returncode == 0


class TestPassword:
    def test_it_is_made_anew_only_when_asked_for(self, applied: Shop) -> None:
        before = applied.password()
        run = applied.setup("apply", "--yes", "--rotate-manager")
        assert run.returncode == 0, run.stdout + run.stderr
        assert "1 to get a new password." in run.stdout.splitlines()
        # Vault does it alone: if that fails, the old one still works.
        assert [line for line in run.stdout.splitlines() if line.startswith("done")] == [
            f"done {applied.engine}/rotate-root/{applied.name}: from here on Vault alone knows the password of "
            f"{applied.manager}"
        ]
        assert before != applied.password()
        assert applied.read(f"{applied.engine}/creds/{applied.name}-verify")["username"].startswith("v-")

    def test_vault_replaces_it_also_without_an_administrator(self, applied: Shop) -> None:
        before = applied.password()
        run = applied.setup("apply", "--yes", "--rotate-manager", "--without-databases")
        assert run.returncode == 0, run.stdout + run.stderr
        assert before != applied.password()

    def test_it_is_not_taken_from_another_connection(self, shop: Shop) -> None:
        assert shop.setup("apply", "--yes").returncode == 0
        before = shop.password()
        text = (shop.folder / "stepcreds.yml").read_text()
        (shop.folder / "stepcreds.yml").write_text(text.replace(f"{shop.engine}/creds", f"other-{shop.engine}/creds"))
        try:
            run = shop.setup("apply", "--yes")
            port = shop.servers.postgresql.port
            assert (run.returncode, run.stderr) == (
                2,
                f"stepcreds: error: Somebody logs in to 127.0.0.1:{port} as {shop.manager}, and it is not Vault's "
                f"connection other-{shop.engine}/config/{shop.name}\n"
                "  cause: Another Vault, or another connection, has this user. A new password would lock it out. Nothing "
                "was changed.\n"
                "  fix: Give this connection a user of its own: --manager NAME\n"
                "    Or, if nothing else is to log in as this one: --rotate-manager\n"
                f"{SEE}setup-administrator\n",
            )
            assert before == shop.password()
            own = shop.setup("apply", "--yes", "--manager", f"second_{shop.name}")
            assert own.returncode == 0, own.stdout + own.stderr
            assert before == shop.password()
        finally:
            with shop.vault() as client:
                client.delete(f"sys/mounts/other-{shop.engine}")
        assert shop.read(f"{shop.engine}/creds/{shop.name}-verify")["username"].startswith("v-")

    def test_another_user_gets_its_first_password(self, shop: Shop) -> None:
        assert shop.setup("apply", "--yes").returncode == 0
        before = shop.password()
        run = shop.setup("apply", "--yes", "--manager", f"second_{shop.name}")
        assert run.returncode == 0, run.stdout + run.stderr
        assert (
            f"~ second_{shop.name} gets a new password, which Vault alone will know: Vault logged in as another until now, "
            "and only that one can end what it issued: let no step run meanwhile."
        ) in " ".join(run.stdout.split())
        assert before == shop.password()
        assert shop.read(f"{shop.engine}/creds/{shop.name}-verify")["username"].startswith("v-")

    def test_a_connection_that_somebody_deleted_is_made_again(self, shop: Shop) -> None:
        assert shop.setup("apply", "--yes").returncode == 0
        with shop.vault() as client:
            client.delete(f"{shop.engine}/config/{shop.name}")
        while shop.sql(f"SELECT FROM pg_stat_activity WHERE usename = '{shop.manager}'"):
            pass
        again = shop.setup("apply", "--yes")
        assert again.returncode == 0, again.stdout + again.stderr
        assert shop.read(f"{shop.engine}/creds/{shop.name}-verify")["username"].startswith("v-")

    def test_a_user_whom_somebody_dropped_is_there_again(self, shop: Shop) -> None:
        assert shop.setup("apply", "--yes").returncode == 0
        shop.sql(f"DROP OWNED BY {shop.manager}", f"DROP ROLE {shop.manager}")
        run = shop.setup("apply", "--yes")
        assert run.returncode == 0, run.stdout + run.stderr
        assert shop.read(f"{shop.engine}/creds/{shop.name}-migrate")["username"].startswith("v-")


def test_vaults_part_is_done_without_an_administrator_once_there_is_a_connection(applied: Shop) -> None:
    role = f"auth/{applied.mount}/role/{applied.name}-verify"
    wanted = applied.read(role)
    kept = {name: wanted[name] for name in ("role_type", "user_claim", "bound_claims", "bound_audiences")}
    applied.write(role, **kept, token_policies=["default", "other"])
    run = applied.setup("apply", "--yes", STEPCREDS_DATABASE_ADMIN_URL=None)
    assert (run.returncode, run.stderr) == (1, ""), run.stdout
    assert f"done {role}" in run.stdout.splitlines()
    assert applied.read(role)["token_policies"] == wanted["token_policies"]


@pytest.mark.parametrize("more", [["--yes"], ["--dry-run"]])
def test_a_database_that_nobody_looked_at_is_not_as_it_should_be(applied: Shop, more: list[str]) -> None:
    run = applied.setup("apply", *more, STEPCREDS_DATABASE_ADMIN_URL=None)
    place = f"127.0.0.1:{applied.servers.postgresql.port}/{applied.name}"
    compared = (
        "Not compared, so nobody knows whether it is right:\n"
        f"  {place}: no administrator's URL (--database-admin VARIABLE)\n"
        "\n"
        "No difference in what was compared, and 1 not compared; 12 as they should be.\n"
    )
    assert (run.returncode, run.stdout, run.stderr) == (
        1,
        f"Database {place}\n"
        "  ? not looked at: there is no administrator's URL (--database-admin VARIABLE).\n"
        "      Nobody knows whether it has what it needs: have its administrator run what\n"
        "      `stepcreds setup --format sql` prints.\n"
        "\n"
        f"Vault {applied.address}\n"
        "  = 12 as they should be\n"
        "\n"
        "Nothing to do at Vault; 1 database was not looked at.\n" + (compared if more == ["--yes"] else ""),
        "",
    )
    # Who says that others see to it has what was asked for.
    assert applied.setup("apply", *more, "--without-databases").returncode == 0


def test_an_issuer_that_vault_cannot_use(shop: Shop) -> None:
    answers = shop.folder / "setup.yml"
    right = answers.read_text()
    issuer = shop.servers.issuer.url
    answers.write_text(right.replace(issuer, f"{issuer}/other"))
    run = shop.setup("apply", "--yes")
    what, _, rest = run.stderr.partition("\n")
    assert run.returncode == 1
    assert what.startswith(
        f"stepcreds: error: Vault cannot use the issuer {issuer}/other: error checking oidc discovery URL"
    )
    assert rest == (
        f"  cause: When this is written Vault itself fetches {issuer}/other/.well-known/openid-configuration. Nobody "
        "answers there, its machine is not let out or does not trust the certificate, or the document names another "
        "issuer.\n"
        "  fix: The issuer that the claim iss of a job's token has, letter for letter: --issuer URL\n"
        "    A certificate of a CA of your own: --issuer-ca FILE\n"
        f"    See what Vault's machine gets: curl {issuer}/other/.well-known/openid-configuration\n"
        f"{SEE}setup-issuer\n"
    )
    answers.write_text(right)
    assert shop.setup("apply", "--yes").returncode == 0


def test_names_that_mean_something_to_shells_and_servers_and_all_that_can_be_asked_for(shop: Shop) -> None:
    """Two databases of one server, a schema with every kind of quote, the guard, outputs, and a key for the ledger."""
    schema, second = "we\"ird '%s; -- schema ü".replace(";", ","), f"{shop.name}_two"
    quoted = '"' + schema.replace('"', '""') + '"'
    with closing(shop.servers.postgresql.connect()) as connection:
        connection.run(f"CREATE DATABASE {second}")
    with closing(shop.servers.postgresql.connect(database=second)) as connection:
        connection.execute_simple(f"CREATE SCHEMA {quoted} AUTHORIZATION {shop.owner}")
        connection.execute_simple(f"SET ROLE {shop.owner}")
        connection.execute_simple(f"CREATE TABLE {quoted}.things (id serial PRIMARY KEY)")
    config = yaml.safe_load((shop.folder / "stepcreds.yml").read_text())
    config["ledger"]["key"] = f"transit-{shop.name}/keys/ledger"
    there = {"database": shop.url.replace(f"/{shop.name}?", f"/{second}?"), "schemas": [schema]}
    more: dict[str, dict[str, object]] = {
        "odd": {**there, "access": "read-write"},
        "odd-ddl": {**there, "access": "ddl"},
        "one-table": {"database": shop.url, "access": "read-only", "tables": [f"{shop.name}.orders"]},
    }
    for name, profile in more.items():
        config["profiles"][name] = {
            **profile,
            "role": f"{shop.name}-{name}",
            "creds": f"{shop.engine}/creds/{shop.name}-{name}",
        }
    (shop.folder / "stepcreds.yml").write_text(json.dumps(config))
    answers = yaml.safe_load((shop.folder / "setup.yml").read_text())
    answers["profiles"] = {
        "migrate": {"guard": True, "outputs": True},
        "odd": {"group": f"{shop.name}_rw"},
        "odd-ddl": {"owner": shop.owner},
    }
    (shop.folder / "setup.yml").write_text(json.dumps(answers))
    try:
        policy = shop.setup("apply", "--print-policy")
        assert policy.returncode == 0, policy.stderr
        shop.token = shop.operator(policy.stdout)
        first = shop.setup("apply", "--yes")
        assert first.returncode == 0, first.stdout + first.stderr
        second_run = shop.setup("apply", "--yes")
        assert (second_run.returncode, "Nothing to do." in second_run.stdout.splitlines()) == (0, True)
        for name in ("verify", "migrate", *more):
            step = shop.step("exec", name, "--", "true")
            assert step.returncode == 0, step.stderr
    finally:
        with closing(shop.servers.postgresql.connect()) as connection:
            connection.run(f"DROP DATABASE {second} WITH (FORCE)")
        with shop.vault() as client:
            client.delete(f"sys/mounts/transit-{shop.name}")
            for name in more:
                client.delete(f"sys/policies/acl/{shop.name}-{name}")


def test_something_else_under_a_name_is_left_alone(shop: Shop) -> None:
    shop.write(f"sys/mounts/{shop.engine}", type="kv")
    run = shop.setup("apply", "--yes")
    assert (run.returncode, run.stderr) == (
        1,
        f"stepcreds: error: sys/mounts/{shop.engine} cannot become what the plan wants: something else is mounted there: "
        "kv\n"
        "  fix: Choose another mount or key in stepcreds.yml, or remove what is there if nothing needs it.\n"
        f"{SEE}setup-conflict\n",
    )
    assert f"  ! sys/mounts/{shop.engine}" in run.stdout
    with shop.vault() as client:
        assert f"{shop.mount}/" not in client.read("sys/auth")["data"]
