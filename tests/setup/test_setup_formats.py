"""Each form of `stepcreds setup` on real servers that know nothing: psql, a shell, OpenBao's own start; then `exec`."""

from __future__ import annotations

import json
import secrets
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPConnection
from pathlib import Path
from urllib.parse import quote

import hcl2
import pytest
from mariadb_server import running
from setup_site import DATABASE, ENVIRONMENT, PASSWORD, SCHEMA, Site, database, texts

from ci_tools import shellcheck
from stepcreds.clock import SystemClock
from stepcreds.config.load import load_config
from stepcreds.devstack import installed
from stepcreds.devstack.openbao import OpenBao
from stepcreds.devstack.process import ServerProcess, free_port
from stepcreds.devstack.stack import Stack
from stepcreds.secret import Secret
from stepcreds.setup import building
from stepcreds.setup.answers import Answers, ProfileAnswers
from stepcreds.setup.forms.hcl_text import string


@pytest.fixture
def books(stack: Stack) -> Iterator[None]:
    with database(stack):
        yield


@pytest.mark.usefixtures("alone", "books")
def test_sql_and_shell_make_an_empty_vault_and_a_database_work(stack: Stack, tmp_path: Path) -> None:
    with OpenBao() as bao:
        site = Site(stack, tmp_path, bao.address)
        (sql,) = site.write("sql", "--outputs", "verify")
        (script,) = site.write("shell", "--outputs", "verify")
        # What others have the audit log show stays there.
        token = {"VAULT_TOKEN": bao.root_token.reveal(), "VAULT_ADDR": bao.address}
        theirs = ["bao", "write", "sys/mounts/sys/tune", "audit_non_hmac_request_keys=theirs,others"]
        assert site.run(*theirs, **token).returncode == 0
        # Whoever mistypes the password has changed nothing.
        mistyped = site.psql(sql, "one\ntwo\n")
        assert (mistyped.returncode, "Passwords didn't match." in mistyped.stderr) == (3, True)
        assert stack.sql("SELECT FROM pg_roles WHERE rolname = 'stepcreds_vault'") == []
        # Twice: the second run finds everything, and asks for no password.
        first, second = site.psql(sql), site.psql(sql)
        assert (first.returncode, second.returncode) == (0, 0), first.stderr + second.stderr
        assert first.stdout == "A password for stepcreds_vault: Vault asks for the same, and then changes it.\n"
        assert (second.stdout, second.stderr) == ("", "")
        made = site.run("sh", str(script), text=f"{PASSWORD}\n", **token)
        again = site.run("sh", str(script), **token)
        assert (made.returncode, made.stderr) == (0, "Password of stepcreds_vault: "), made.stderr
        assert (again.returncode, again.stderr) == (0, ""), again.stderr
        assert made.stdout == WRITTEN
        assert again.stdout == "".join(line for line in WRITTEN.splitlines(keepends=True) if line not in ONCE)
        shown = site.run("bao", "read", "-field=audit_non_hmac_request_keys", "sys/mounts/sys/tune", **token)
        assert shown.stdout == "[theirs others lease_id]"
        site.assert_works()
        log = bao.audit_log.read_text()
        assert PASSWORD not in log
        assert PASSWORD not in first.stdout + first.stderr + made.stdout + made.stderr


WRITTEN = """\
Written: sys/auth/ci/jwt
Written: auth/ci/jwt/config
Written: sys/mounts/transit
Written: sys/mounts/transit/tune
Written: transit/keys/acme-71717171
Success! Uploaded policy: acme-migrate
Written: auth/ci/jwt/role/acme-migrate
Success! Uploaded policy: acme-verify
Written: auth/ci/jwt/role/acme-verify
Written: auth/ci/jwt/role/acme-verify-outputs
Written: sys/mounts/seals
Written: sys/mounts/seals/tune
Written: seals/keys/acme
Success! Uploaded policy: acme-seal
Written: auth/ci/jwt/role/acme-seal
Written: sys/mounts/databases/acme
Written: databases/acme/config/acme-x-id-y-z-w-e3c201f5
Written: databases/acme/roles/m
Written: databases/acme/roles/v
Written: sys/config/auditing/request-headers/X-Stepcreds-Step
Written: sys/mounts/sys/tune
"""

# What a mount shows in the audit log is written where it does not show that yet.
ONCE = [
    "Written: sys/auth/ci/jwt\n",
    "Written: sys/mounts/transit\n",
    "Written: sys/mounts/transit/tune\n",
    "Written: transit/keys/acme-71717171\n",
    "Written: sys/mounts/seals\n",
    "Written: sys/mounts/seals/tune\n",
    "Written: seals/keys/acme\n",
    "Written: sys/mounts/databases/acme\n",
    "Written: sys/mounts/sys/tune\n",
]


@pytest.mark.usefixtures("alone", "books")
def test_hcl_is_how_an_openbao_starts_that_steps_can_use_at_once(stack: Stack, tmp_path: Path) -> None:
    port = free_port()
    site = Site(stack, tmp_path, f"http://127.0.0.1:{port}")
    (sql,) = site.write("sql")
    *policies, initialize = site.write("hcl")
    assert [path.relative_to(tmp_path / "hcl").as_posix() for path in policies] == [
        "policies/acme-migrate.hcl",
        "policies/acme-verify.hcl",
        "policies/acme-seal.hcl",
    ]
    assert (
        policies[1]
        .read_text()
        .startswith(
            "# Put in place of <accessor of auth/ci/jwt> what this prints: bao read -field=accessor sys/auth/ci/jwt\n# Issue.\n"
        )
    )
    assert (
        'path "transit/sign/acme-{{identity.entity.aliases.<accessor of auth/ci/jwt>.metadata.repository_id}}" {'
        in policies[1].read_text()
    )
    assert site.psql(sql).returncode == 0
    with self_initialized(tmp_path, port, initialize):
        site.assert_works()


@pytest.mark.usefixtures("alone")
def test_sql_and_shell_for_a_mariadb_in_a_namespace(stack: Stack, tmp_path: Path) -> None:
    name = "my_b%ks`'x"
    quoted = "`" + name.replace("`", "``") + "`"
    with running() as mariadb, OpenBao() as bao:
        mariadb.administer(f"CREATE DATABASE {quoted}", f"CREATE TABLE {quoted}.orders AS SELECT 1 AS id")
        url = f"mariadb://127.0.0.1:{mariadb.port}/{quote(name, safe='')}?sslmode=disable"
        site = Site(stack, tmp_path, bao.address, {"database": url}, namespace="platform")
        operator = {"VAULT_ADDR": bao.address, "VAULT_TOKEN": bao.root_token.reveal()}
        assert site.run("bao", "namespace", "create", "platform", **operator).returncode == 0
        (sql,) = site.write("sql")
        (script,) = site.write("shell")
        password = "one-password"
        client = ["mariadb", "--no-defaults", f"--socket={mariadb.folder}/socket", "--user=root"]
        for _ in range(2):
            done = site.run(*client, text=sql.read_text(encoding="utf-8").replace("<'password'>", f"'{password}'"))
            assert (done.returncode, done.stderr) == (0, "")
        made = site.run("sh", str(script), text=f"{password}\n", **operator)
        assert (made.returncode, made.stderr) == (0, "Password of stepcreds_vault: "), made.stderr
        ask = 'mariadb --no-defaults --skip-ssl -h127.0.0.1 -P "$MYSQL_TCP_PORT" -u "$MYSQL_USER" --batch -N -e "$SQL" "$NAME"'
        read, changed, made_one = (
            site.stepcreds("exec", profile, "--", "sh", "-c", ask, SQL=text, NAME=name)
            for profile, text in (
                ("verify", "SELECT id FROM orders"),
                ("verify", "DELETE FROM orders"),
                ("migrate", "CREATE TABLE fresh (id int)"),
            )
        )
        assert (read.returncode, read.stdout) == (0, "1\n"), read.stderr
        assert "DELETE command denied to user" in changed.stderr
        assert made_one.returncode == 125  # that job is not in the environment


@contextmanager
def self_initialized(folder: Path, port: int, initialize: Path) -> Iterator[None]:
    """An OpenBao, not in development mode, whose configuration sets it up as it starts for the first time."""
    (folder / "key").write_bytes(secrets.token_bytes(32))
    config = folder / "server.hcl"
    config.write_text(f"""\
storage "inmem" {{}}
listener "tcp" {{
  address = "127.0.0.1:{port}"
  tls_disable = true
}}
seal "static" {{
  current_key_id = "one"
  current_key = "file://{folder}/key"
}}
api_addr = "http://127.0.0.1:{port}"
""")
    server = ServerProcess(
        "openbao",
        [str(installed.bao()), "server", f"-config={config}", f"-config={initialize}"],
        folder=folder,
        environment={"STEPCREDS_VAULT_PASSWORD": PASSWORD, "HOME": str(folder)},
        stop_signal=signal.SIGKILL,
        secret=Secret(PASSWORD),
    )
    try:
        # Healthy only when everything has been set up: before that it answers nobody.
        server.wait_until(lambda: healthy(port), timeout=60, clock=SystemClock())
        yield
    finally:
        server.stop()


def healthy(port: int) -> bool:
    connection = HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        connection.request("GET", "/v1/sys/health")
        return connection.getresponse().status == 200
    except OSError:
        return False
    finally:
        connection.close()


def test_the_script_is_plain_shell(stack: Stack, tmp_path: Path) -> None:
    (script,) = Site(stack, tmp_path, "https://vault.example.com:8200").write("shell")
    checked = subprocess.run([shellcheck(), "--shell=sh", script], capture_output=True, text=True, check=False)
    assert (checked.returncode, checked.stdout) == (0, "")


def test_terraform_says_what_the_plan_says(stack: Stack, tmp_path: Path) -> None:
    site = Site(stack, tmp_path, "https://vault.example.com:8200")
    (file,) = site.write("terraform", "--claim", "verify=ref=a,b", "--outputs", "verify")
    parsed = hcl2.loads(file.read_text(encoding="utf-8"))
    resources = {
        f"{kind}.{name}".replace('"', ""): body
        for resource in parsed["resource"]
        for kind, named in resource.items()
        for name, body in named.items()
    }
    assert list(resources) == [
        "vault_jwt_auth_backend.ci_jwt_config",
        "vault_mount.transit",
        "vault_transit_secret_backend_key.transit_keys_acme_71717171",
        "vault_policy.acme_migrate",
        "vault_jwt_auth_backend_role.ci_jwt_role_acme_migrate",
        "vault_policy.acme_verify",
        "vault_generic_endpoint.ci_jwt_role_acme_verify",
        "vault_generic_endpoint.ci_jwt_role_acme_verify_outputs",
        "vault_mount.seals",
        "vault_transit_secret_backend_key.seals_keys_acme",
        "vault_policy.acme_seal",
        "vault_jwt_auth_backend_role.ci_jwt_role_acme_seal",
        "vault_mount.databases_acme",
        "vault_database_secret_backend_connection.databases_acme_config_acme_x_id_y_z_w_e3c201f5",
        "vault_database_secret_backend_role.databases_acme_roles_m",
        "vault_database_secret_backend_role.databases_acme_roles_v",
        "vault_audit_request_header.x_stepcreds_step",
        "vault_generic_endpoint.sys_tune",
    ]
    assert (
        'path "transit/sign/acme-{{identity.entity.aliases.${vault_jwt_auth_backend.ci_jwt_config.accessor}.metadata.repository_id}}" {'
        in str(resources["vault_policy.acme_migrate"]["policy"])
    )
    assert resources["vault_mount.transit"]["audit_non_hmac_request_keys"] == ['"input"']
    role = resources["vault_database_secret_backend_role.databases_acme_roles_m"]
    creation, revocation = statements(site, "migrate")
    assert [unquoted(text) for text in role["creation_statements"]] == creation
    assert [unquoted(text) for text in role["revocation_statements"]] == revocation
    jwt = resources["vault_jwt_auth_backend_role.ci_jwt_role_acme_migrate"]
    assert {unquoted(name): unquoted(text) for name, text in jwt["bound_claims"].items()} == {
        "repository_id": "71717171",
        "environment": ENVIRONMENT,
    }
    # Nothing but our own references is an expression.
    assert sorted({text for text in texts(resources) if text.startswith("${") and "jsonencode" not in text}) == [
        "${postgresql[0].password}",
        "${var.databases_acme_config_acme_x_id_y_z_w_e3c201f5_password}",
        "${vault_database_secret_backend_connection.databases_acme_config_acme_x_id_y_z_w_e3c201f5.name}",
        "${vault_jwt_auth_backend.ci_jwt_config.path}",
        "${vault_jwt_auth_backend.ci_jwt_config}",
        "${vault_mount.databases_acme.path}",
        "${vault_mount.seals.path}",
        "${vault_mount.transit.path}",
    ]


def statements(site: Site, profile: str) -> tuple[list[str], list[str]]:
    config = load_config(site.folder / "stepcreds.yml", {}, site.folder, SystemClock())
    answers = Answers(
        "github",
        site.stack.issuer.url,
        "repository_id",
        {},
        {
            "migrate": ProfileAnswers({"repository_id": "71717171"}, f"{SCHEMA}_owner"),
            "verify": ProfileAnswers({"repository_id": "71717171"}, f"{SCHEMA}_ro"),
        },
    )
    bodies = {setting.path: setting.body for setting in building.build(config, answers).settings}
    body = bodies[f"databases/acme/roles/{profile[0]}"]
    creation, revocation = body["creation_statements"], body["revocation_statements"]
    assert isinstance(creation, list) and isinstance(revocation, list)
    return creation, revocation


def unquoted(text: str) -> str:
    """What a quoted text of HCL stands for: its escapes are JSON's."""
    value = json.loads(text)
    assert isinstance(value, str)
    return value


@pytest.mark.parametrize(
    "text",
    [
        "",
        "a",
        "${x}",
        "$${x}",
        "%{x}",
        "%%{x}",
        "$",
        "%",
        'a"b',
        "a\\",
        "a\nb\tc\rd",
        "\x00\x7f\u2028",
        "ü€𐍈",
        DATABASE,
    ],
)
def test_a_text_never_begins_a_template(text: str) -> None:
    written = string(text)
    assert unquoted(written) == text
    assert "${" not in written
    assert "%{" not in written
