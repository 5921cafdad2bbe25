"""How a credential is handed over where the usual names will not do: templates, files, other engines, two at once."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from urllib.parse import unquote

import pytest
from rabbitmq_api import Broker
from step_runs import (
    Oddities,
    audited,
    kinds,
    masked,
    normalised,
    of_kind,
    reconfigure,
    refusal,
    reported,
    reporting,
    said,
    verdicts,
)

from conftest import Step
from stepcreds.devstack import installed
from stepcreds.devstack.stack import Stack

pytestmark = pytest.mark.usefixtures("alone")

# Writes down what the private folder looks like from inside.
LOOK = """
import stat
folder = os.environ["FOLDER"]
found = {"": os.stat(folder)}
for path, names, files in os.walk(folder):
    for name in names + files:
        found[os.path.relpath(os.path.join(path, name), folder)] = os.stat(os.path.join(path, name))
seen = {name: oct(stat.S_IMODE(status.st_mode)) for name, status in found.items()}
system = next(
    line.split()[2]
    for line in reversed(open("/proc/mounts").readlines())
    if (folder + "/").startswith(line.split()[1].rstrip("/") + "/")
)
with open(sys.argv[1] + ".folder", "w") as file:
    json.dump([folder, system, seen], file)
"""


def test_templates_replace_the_usual_names(stack: Stack, step: Step, config_file: Path, tmp_path: Path) -> None:
    env = {
        "DSN": "host={host} port={port} dbname={database} user={username} password='{password}'",
        "URL_PASSWORD": "{password:url}",
        "AS_JSON": "{{{username:json}: {password:json}}}",
        "AS_BASE64": "{password:base64}",
        "FIXED": "no field",
        "EMPTY": "",
    }
    reconfigure(config_file, lambda document: document["profiles"]["verify"].update(env=env))
    run = step("exec", "verify", "--", *reporting(tmp_path / "report"), PGPASSWORD="older")
    assert run.returncode == 0, run.stderr
    given = reported(tmp_path / "report")
    ((user, password),) = json.loads(given["AS_JSON"]).items()
    assert {name for name in given if name.startswith("PG") or name == "DATABASE_URL"} == set()
    assert unquote(given["URL_PASSWORD"]) == password
    assert given["DSN"] == (
        f"host={stack.database.host} port={stack.database.port} dbname=shop user={user} password='{password}'"
    )
    assert (given["FIXED"], given["EMPTY"]) == ("no field", "")
    assert refusal(stack, user, password) == "28P01"


def test_files_are_private_in_memory_and_gone_afterwards(
    stack: Stack, step: Step, config_file: Path, tmp_path: Path
) -> None:
    files = {"pgpass": "{host}:{port}:*:{username}:{password}\n", "deep/er/user": "{username}"}
    env = {"PGPASSFILE": "{dir}/pgpass", "FOLDER": "{dir}", "PGUSER": "{username}"}
    reconfigure(config_file, lambda document: document["profiles"]["verify"].update(env=env, files=files))
    run = step("exec", "verify", "--", *reporting(tmp_path / "report", LOOK))
    assert run.returncode == 0, run.stderr
    folder, system, seen = json.loads((tmp_path / "report.folder").read_text())
    assert seen == {"": "0o700", "pgpass": "0o600", "deep": "0o700", "deep/er": "0o700", "deep/er/user": "0o600"}
    assert system == "tmpfs"
    assert reported(tmp_path / "report")["PGPASSFILE"] == f"{folder}/pgpass"
    assert not Path(folder).exists()


def test_psql_logs_in_with_the_delivered_password_file(stack: Stack, step: Step, config_file: Path) -> None:
    files = {"{dir}/pgpass": "{host}:{port}:*:{username}:{password}\n"}
    env = {"PGPASSFILE": "{dir}/pgpass", "PGUSER": "{username}", "PGHOST": "{host}", "PGPORT": "{port}"}
    reconfigure(config_file, lambda document: document["profiles"]["verify"].update(env=env, files=files))
    psql = str(installed.psql())
    run = step("exec", "verify", "--", psql, "-wAtX", "-d", "shop", "-c", "SELECT count(*) FROM app.orders")
    assert (run.returncode, run.stdout.splitlines()[-1]) == (0, "1000"), run.stderr


def test_psql_logs_in_with_the_usual_names(step: Step) -> None:
    run = step("exec", "verify", "--", str(installed.psql()), "-wAtX", "-c", "SELECT count(*) FROM app.orders")
    assert (run.returncode, run.stdout.splitlines()[-1]) == (0, "1000"), run.stderr


def test_what_the_command_leaves_in_the_folder_goes_too(step: Step, config_file: Path, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.write_text("stays")
    reconfigure(config_file, lambda document: document["profiles"]["verify"].update(env={"FOLDER": "{dir}"}))
    mess = (
        "folder = os.environ['FOLDER']\n"
        "os.makedirs(folder + '/a/b')\n"
        "open(folder + '/a/b/file', 'w').close()\n"
        f"os.symlink({str(outside)!r}, folder + '/link')\n"
        "os.chmod(folder + '/a/b', 0)\n"
        "os.chmod(folder, 0o500)\n"
    )
    run = step("exec", "verify", "--", *reporting(tmp_path / "report", mess))
    assert run.returncode == 0, run.stderr
    assert not Path(reported(tmp_path / "report")["FOLDER"]).exists()
    assert outside.read_text() == "stays"
    assert "could not be removed" not in run.stderr


@pytest.fixture
def broker(stack: Stack, config_file: Path) -> Iterator[Broker]:
    """RabbitMQ's management API with an engine at OpenBao for it, and the profile `queue`."""
    with Broker() as api, Oddities(stack, config_file) as odd:
        odd.mount("rabbitmq", "rabbitmq")
        connection = {"connection_uri": api.url, "username": "manager", "password": "of the manager"}
        odd.write("rabbitmq/config/connection", connection, goes_with_its_mount=True)
        odd.write("rabbitmq/config/lease", {"ttl": "1h", "max_ttl": "2h"}, goes_with_its_mount=True)
        vhosts = json.dumps({"/": {"read": ".*", "write": "", "configure": ""}})
        odd.write("rabbitmq/roles/queue", {"vhosts": vhosts}, goes_with_its_mount=True)
        odd.secret(
            "queue", "rabbitmq/creds/queue", env={"AMQP_URL": "amqp://{username:url}:{password:url}@mq.internal/"}
        )
        yield api


def test_an_engine_without_a_login_is_proven_by_its_lease(
    stack: Stack, step: Step, broker: Broker, config_file: Path, tmp_path: Path
) -> None:
    run = step("exec", "queue", "--", *reporting(tmp_path / "report"), PGPASSWORD="of another step")
    assert run.returncode == 0, run.stderr
    given = reported(tmp_path / "report")
    scheme, user, _ = given["AMQP_URL"].split(":")
    inherits = (
        "the command also inherits what looks like other credentials: PGPASSWORD. Take them out of the job's "
        "environment, or run with --inherit clean"
    )
    assert (scheme, given["PGPASSWORD"]) == ("amqp", "of another step")
    assert normalised(run.stderr) == (
        f"stepcreds: warning: {inherits}\n"
        "stepcreds: queue: issued rabbitmq/creds/queue as USER; no access declared; not measured: there is no database to "
        "ask; ends at TIME unless renewed\n"
        "stepcreds: queue: proven dead N s after the command ended (lease lookup)\n"
    )
    assert (broker.made, broker.users) == ([user.removeprefix("//")], set())
    (issued,) = of_kind(config_file, "credential.issued")
    assert issued["lease_duration"] == 3600
    # Shortened to the profile's ttl, 2 minutes.
    life = datetime.fromisoformat(issued["expire_time"][:-1]) - datetime.fromisoformat(issued["issue_time"][:-1])
    assert life <= timedelta(seconds=121)
    (closed,) = of_kind(config_file, "credential.closed")
    assert closed["lock"]["status"] == "not_applicable"
    assert {name: value for name, value in closed["verified"].items() if name != "time"} == {
        "lookup": "gone",
        "db_login": "not_applicable",
        "witness": "not_checked",
        "method": "lease lookup",
    }


def test_what_the_answer_lacks_is_named_and_the_credential_ended(
    step: Step, broker: Broker, config_file: Path, tmp_path: Path
) -> None:
    reconfigure(config_file, lambda document: document["profiles"]["queue"].update(env={"KEY": "{secret_key}"}))
    run = step("exec", "queue", "--", *reporting(tmp_path / "report"))
    assert run.returncode == 125
    text = "KEY of profile queue names {secret_key}, which the answer does not have"
    assert said(run.stderr) == (
        "stepcreds: queue: proven dead (lease lookup)\n"
        f"stepcreds: error: {text}\n"
        "  cause: The fields there are: password, username.\n"
        "  fix: Use one of these in the profile's env: and files:.\n"
        "  see: https://github.com/stepcreds/stepcreds/blob/v1/docs/troubleshooting.md#delivery\n"
    )
    assert not (tmp_path / "report").exists()
    assert (len(broker.made), broker.users) == (1, set())
    assert verdicts(config_file) == ["proven dead"]


@pytest.fixture
def static(stack: Stack, config_file: Path) -> Iterator[None]:
    """A kv engine with one secret, and the profile `static` for it, which says nothing about revocation."""
    with Oddities(stack, config_file) as odd:
        odd.mount("static", "kv")
        secret = {"user": "app", "password": "canary/of the+kv", "nested": {"port": 5671}}
        odd.write("static/app", secret, goes_with_its_mount=True)
        env = {"KV_USER": "{user}", "KV_PASSWORD": "{password}", "KV_PORT": "{nested.port}"}
        odd.secret("static", "static/app", env=env)
        yield


@pytest.mark.usefixtures("static")
def test_a_secret_without_a_lease_is_refused(step: Step, config_file: Path, tmp_path: Path) -> None:
    run = step("exec", "static", "--", *reporting(tmp_path / "report"))
    assert run.returncode == 125
    assert not (tmp_path / "report").exists()
    text = "static/app answered without a lease: what it gave cannot be revoked"
    assert said(run.stderr) == (
        f"stepcreds: error: {text}\n"
        "  cause: It is a static secret (kv, a static role), or an engine that gives no leases.\n"
        "  fix: Use a dynamic secrets engine; or accept in words that nothing ends it:\n"
        "      profiles.static.revocation: none\n"
        "  see: https://github.com/stepcreds/stepcreds/blob/v1/docs/troubleshooting.md#no-lease\n"
    )
    assert verdicts(config_file) == ["not issued"]


@pytest.mark.usefixtures("static")
def test_a_secret_without_a_lease_is_handed_over_where_the_author_says_so(
    step: Step, config_file: Path, tmp_path: Path
) -> None:
    reconfigure(config_file, lambda document: document["profiles"]["static"].update(revocation="none"))
    run = step("exec", "static", "--", *reporting(tmp_path / "report"))
    assert run.returncode == 0, run.stderr
    given = reported(tmp_path / "report")
    assert [given["KV_USER"], given["KV_PASSWORD"], given["KV_PORT"]] == ["app", "canary/of the+kv", "5671"]
    assert said(run.stderr) == (
        "stepcreds: static: issued static/app; no access declared; not measured: there is no database to ask; ends never\n"
        "stepcreds: static: never expires (the engine gives no lease, and the profile says revocation: none)\n"
    )
    assert of_kind(config_file, "credential.issued")[0]["expire_time"] == "never"
    assert verdicts(config_file) == ["never expires"]
    assert step("revoke").returncode == 0


def test_one_command_gets_two_credentials(stack: Stack, step: Step, config_file: Path, tmp_path: Path) -> None:
    env = {"READ_URL": "{url}", "READ_USER": "{username}", "READ_PASSWORD": "{password}"}
    reconfigure(config_file, lambda document: document["profiles"]["verify"].update(env=env))
    run = step("exec", "migrate", "--also", "verify", "--", *reporting(tmp_path / "report"))
    assert run.returncode == 0, run.stderr
    given = reported(tmp_path / "report")
    assert "-app-migrate-" in given["PGUSER"]
    assert "-app-verify-" in given["READ_USER"]
    assert refusal(stack, given["PGUSER"], given["PGPASSWORD"]) == "28P01"
    assert refusal(stack, given["READ_USER"], given["READ_PASSWORD"]) == "28P01"
    assert sorted(masked(run.stderr)) == sorted([given["PGPASSWORD"], given["READ_PASSWORD"]])
    life = ["credential.requested", "credential.issued"]
    assert kinds(config_file) == [
        "chain.opened",
        *life,
        *life,
        "credential.closed",
        "credential.left",
        "credential.closed",
    ]
    # The last issued is ended first.
    assert [record["profile"] for record in of_kind(config_file, "credential.closed")] == ["verify", "migrate"]
    assert verdicts(config_file) == ["proven dead", "proven dead"]
    assert normalised(run.stderr) == (
        "stepcreds: migrate: issued database/creds/app-migrate as USER; declared ddl in app; measured ddl in N ms; ends at TIME unless renewed\n"
        "stepcreds: verify: issued database/creds/app-verify as USER; declared read-only in app; measured read in N ms; ends at TIME unless renewed\n"
        "stepcreds: verify: proven dead N s after the command ended (lease lookup and refused logins)\n"
        "stepcreds: migrate: proven dead N s after the command ended (lease lookup and refused logins)\n"
    )


def test_two_credentials_of_one_name_are_refused_before_anything_is_asked(
    stack: Stack, step: Step, config_file: Path, tmp_path: Path
) -> None:
    before = len(stack.audit())
    run = step("exec", "migrate", "--also", "verify", "--", *reporting(tmp_path / "report"))
    assert run.returncode == 125
    text = "The profiles migrate and verify both deliver the variable PGHOST"
    assert said(run.stderr) == (
        f"stepcreds: error: {text}\n"
        "  cause: One command cannot have both under one name.\n"
        '  fix: Give one of them names of its own: profiles.verify.env, for example {CACHE_URL: "{url}"}.\n'
        "  see: https://github.com/stepcreds/stepcreds/blob/v1/docs/troubleshooting.md#delivery\n"
    )
    assert audited(stack, before) == []
    assert not (config_file.parent / ".stepcreds").exists()
    assert not (tmp_path / "report").exists()


def test_where_the_second_is_refused_the_first_is_ended(
    stack: Stack, step: Step, config_file: Path, tmp_path: Path
) -> None:
    with Oddities(stack, config_file) as odd:
        odd.profile("blind", policy=lambda text: text.replace('["read"]', '["list"]'), env={"OTHER": "{url}"})
        run = step("exec", "migrate", "--also", "blind", "--", *reporting(tmp_path / "report"))
    assert run.returncode == 125
    assert not (tmp_path / "report").exists()
    assert [(record["profile"], record["verdict"]) for record in of_kind(config_file, "credential.closed")] == [
        ("blind", "not issued"),
        ("migrate", "proven dead"),
    ]
    text = "Vault at http://HOST answered 403 to GET database/creds/app-blind: permission denied"
    assert normalised(run.stderr) == (
        "stepcreds: migrate: proven dead (lease lookup and refused logins)\n"
        f"stepcreds: error: {text}\n"
        "  cause: The policies of the token do not allow to read database/creds/app-blind.\n"
        "  fix: Add to a policy of the role:\n"
        '    path "database/creds/app-blind" {\n'
        '      capabilities = ["read"]\n'
        "    }\n"
        "  see: https://github.com/stepcreds/stepcreds/blob/v1/docs/troubleshooting.md#policy-creds\n"
    )


def test_an_issue_that_fails_halfway_is_tried_on_a_second_token_once(
    stack: Stack, step: Step, config_file: Path, tmp_path: Path
) -> None:
    """A 500 may have left something: the token that it came to is revoked, and all that it was given."""
    with Oddities(stack, config_file) as odd:
        odd.profile("broken", database_role={"creation_statements": ["SELECT 1/0"]})
        setting_up = len(stack.audit())
        run = step("exec", "broken", "--", *reporting(tmp_path / "report"))
        asked = audited(stack, setting_up)
    assert run.returncode == 125
    assert not (tmp_path / "report").exists()
    once = [
        ("update", "auth/jwt/login"),
        ("update", "sys/leases/revoke"),
        ("read", "database/creds/app-broken"),
        ("update", "auth/token/revoke-self"),
    ]
    assert asked == once * 2
    text = (
        "Vault at http://HOST answered 500 to GET database/creds/app-broken: failed to execute query: ERROR: division by "
        "zero (SQLSTATE 22012)"
    )
    assert normalised(run.stderr) == (
        f"stepcreds: warning: broken: {text}; logging in anew and trying once more\n"
        f"stepcreds: error: {text}\n"
        "  cause: The database refused the role's creation statements.\n"
        "  fix: Look at creation_statements, and at what Vault's own user may do:\n"
        "      bao list database/roles\n"
        "  see: https://github.com/stepcreds/stepcreds/blob/v1/docs/troubleshooting.md#issue-statements\n"
    )
    assert verdicts(config_file) == ["revoked, not proven"] * 2
