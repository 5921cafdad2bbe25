"""What `stepcreds doctor` warns of on this side and on the way: machine, ledger, clocks, certificates, another database."""

from __future__ import annotations

import json
import re
import socket
import ssl
import subprocess
import sys
from email.utils import formatdate
from pathlib import Path

import pytest
from database_servers import liar
from doctor_runs import DOCS, Step, told, under
from mariadb_server import Account, MariaDB, account, mariadb, url_of  # noqa: F401 - two fixtures
from step_runs import Oddities, reconfigure

from faulty_vault import Fault, FaultyVault
from stepcreds.clock import SystemClock
from stepcreds.config.model import DatabaseURL, Profile
from stepcreds.devstack.certificates import make
from stepcreds.devstack.postgresql import SUPERUSER, PostgreSQL
from stepcreds.devstack.provision import MANAGER
from stepcreds.devstack.stack import Stack
from stepcreds.doctor import sessions
from stepcreds.doctor.database import log_in
from stepcreds.doctor.link import NotLookedAtError
from stepcreds.doctor.machine import in_memory
from stepcreds.doctor.sessions import OpenSession
from stepcreds.model import Holding
from stepcreds.secret import Secret

# ruff: noqa: F811 - pytest hands a fixture in under the name it was imported with

pytestmark = pytest.mark.usefixtures("alone")


class Elsewhere(SystemClock):
    """The clock of a machine that is ahead of this one by some seconds."""

    def __init__(self, ahead: float) -> None:
        self.ahead = ahead

    def now(self) -> float:
        return super().now() + self.ahead


def hours(text: str) -> str:
    """About an hour, as an hour: a slow machine takes its seconds between two looks at a clock."""
    return re.sub(r"\b(59m[0-9]+s|1h[0-9]*s?)\b", "1h", text)


# The machine.


def test_a_machine_with_few_files_a_foreign_library_and_no_memory_for_files(
    stack: Stack, config_file: Path, tmp_path: Path
) -> None:
    reconfigure(config_file, lambda document: document["profiles"]["verify"].update(files={"pw": "{password}"}))
    done = subprocess.run(
        ["sh", "-c", 'ulimit -n 50; exec "$@"', "sh", sys.executable, "-m", "stepcreds", "doctor", "verify"],
        cwd=config_file.parent,
        env=stack.environment(LD_PRELOAD="libm.so.6", XDG_RUNTIME_DIR=str(tmp_path)),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    disk = (
        "    {0} is on a disk, and a profile has `files`: after a SIGKILL of both halves they stay there, with a credential "
        "that ends by itself.\n",
        "    Give the container a tmpfs: --tmpfs /dev/shm, or XDG_RUNTIME_DIR on one.\n",
    )
    on_disk = ["" if in_memory(str(tmp_path)) else text.format(tmp_path) for text in disk]
    assert re.sub(r"Python [\d.]+", "Python V", under(done.stdout, "machine")) == (
        f"! machine     Linux, Python V, 50 open files, private files in {tmp_path}\n"
        "  cause: A process may have 50 open files, and a step needs up to 64: one that runs out of them can neither ask "
        "Vault nor the database.\n"
        f"{on_disk[0]}"
        "    LD_PRELOAD is set, so code that it names runs inside stepcreds, and can read every credential.\n"
        "  fix: Raise the limit before the step: ulimit -n 1024\n"
        f"{on_disk[1]}"
        "    Unless you know who set it, start stepcreds without it: env -u LD_PRELOAD stepcreds …\n"
        f"  see: {DOCS}#machine\n"
    )
    assert (done.stdout[-23:], done.returncode) == ("\n1 warning: see above.\n", 1)


def test_what_is_in_memory() -> None:
    assert in_memory("/dev/shm")
    assert not in_memory("/proc/self")


def test_a_machine_without_proc_is_a_finding(stack: Stack, config_file: Path) -> None:
    hide = 'mount -t tmpfs none /proc && exec "$@"'
    namespaces = ("unshare", "--user", "--map-root-user", "--mount", "sh", "-c", hide, "sh")
    done = subprocess.run(
        [*namespaces, sys.executable, "-m", "stepcreds", "doctor", "--json"],
        cwd=config_file.parent,
        env=stack.environment(),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    link = told(done, "machine")
    assert (link["status"], link["found"], link["docs"]) == (
        "failed",
        "/proc cannot be read: No such file or directory",
        "unsupported-machine",
    )
    assert (json.loads(done.stdout)["broken"], done.returncode) == (1, 1)


# The ledger.


def test_a_ledger_that_a_checkout_deletes(step: Step, tmp_path: Path) -> None:
    done = step("doctor", "verify", GITHUB_WORKSPACE=str(tmp_path))
    assert under(done.stdout, "ledger") == (
        f"! ledger      {tmp_path}/.stepcreds takes records\n"
        "  cause: The ledger is in the workspace. A checkout with `clean: true`, which is the default, deletes it; and "
        "with it what `stepcreds revoke` would end after a step was killed.\n"
        "  fix: Leave ledger.path out of stepcreds.yml (then it is $RUNNER_TEMP/stepcreds), or name a folder outside.\n"
        f"  see: {DOCS}#ledger-place\n"
    )
    assert done.returncode == 1
    assert [file.name for file in (tmp_path / ".stepcreds").iterdir() if not file.name.endswith(".jsonl")] == []


def test_no_ledger_no_credential(stack: Stack, step: Step, tmp_path: Path) -> None:
    (tmp_path / ".stepcreds").write_text("not a folder")
    before = len(stack.audit())
    done = step("doctor", "verify")
    assert under(done.stdout, "ledger").startswith(f"✗ ledger      The ledger cannot use {tmp_path}/.stepcreds: ")
    assert under(done.stdout, "issue").endswith("issue       not looked at: ledger comes first\n")
    assert "database/creds/app-verify" not in {entry["request"]["path"] for entry in stack.audit()[before:]}
    assert done.returncode == 1


# Clocks.


def test_a_clock_that_is_not_vaults(stack: Stack, step: Step, config_file: Path) -> None:
    status = b'{"type":"shamir","initialized":true,"sealed":false,"version":"2.7.2"}'
    with FaultyVault(stack.address) as vault:
        reconfigure(config_file, lambda document: document["vault"].update(address=vault.address))
        date = formatdate(SystemClock().now() + 3600.0, usegmt=True)
        vault.fail("issue", Fault("answer", 200, status, headers={"Date": date}), times=2)
        done = step("doctor", "verify")
    clock = re.sub(r"\d{4}-\S+Z", "TIME", under(done.stdout, "clock"))
    assert hours(clock) == (
        "! clock       this machine's clock is 1h behind Vault's\n"
        f"  cause: This machine's clock is 1h behind that of Vault at {vault.address}. Vault ends leases and judges the "
        "times of ID tokens by its own; `max_ttl`, and the times in the ledger, are by this machine's.\n"
        f"    The ID token expired at TIME (exp) by the clock of Vault at {vault.address}. A login fails where its leeway "
        "does not cover that.\n"
        "  fix: Have NTP keep both. What time it is here: date -u\n"
        "    Compare the clock of Vault's server with the issuer's: there it is TIME now.\n"
        f"  see: {DOCS}#clock\n"
    )
    # The database is on this machine, and so as far behind.
    database = under(done.stdout, "database").splitlines()[1:]
    assert [hours(line) for line in database] == [
        f"  cause: The clock of 127.0.0.1:{stack.postgresql.port} is 1h behind Vault's. It goes on taking logins for so "
        "long after VALID UNTIL, should Vault fail to revoke.",
        "  fix: Have NTP keep the clocks of both servers.",
        f"  see: {DOCS}#clock",
    ]
    assert done.stdout.endswith("\n2 warnings: see above.\n")
    assert done.returncode == 1


def test_an_id_token_from_the_future_and_a_server_without_a_clock(stack: Stack, step: Step, config_file: Path) -> None:
    status = b'{"type":"shamir","initialized":true,"sealed":false,"version":"2.7.2"}'
    with FaultyVault(stack.address) as vault:
        reconfigure(config_file, lambda document: document["vault"].update(address=vault.address))
        silent = step("doctor", "verify")
        date = formatdate(SystemClock().now() - 3600.0, usegmt=True)
        vault.fail("issue", Fault("answer", 200, status, headers={"Date": date}), times=2)
        done = step("doctor", "verify", "--json")
    assert under(silent.stdout, "clock").endswith("clock       Vault does not say what time it is there\n")
    assert silent.returncode == 0
    cause = told(done, "clock")["cause"].splitlines()
    assert hours(cause[0]).startswith(f"This machine's clock is 1h ahead of that of Vault at {vault.address}. ")
    assert re.sub(r"\d{4}-\S+Z", "TIME", cause[1]) == (
        f"The ID token is of TIME (iat): in the future for Vault at {vault.address}. A login fails where its leeway does "
        "not cover that."
    )


SLOW = "The clock of {} is 1h behind {}. It goes on taking logins for so long after VALID UNTIL, should Vault fail to revoke."
FAST = (
    "The clock of {} is 1h ahead of {}. It refuses new logins of a credential for so long before its lease ends "
    "(VALID UNTIL)."
)


def test_the_clock_of_postgresql(stack: Stack) -> None:
    url, where = stack.database, f"127.0.0.1:{stack.postgresql.port}"
    for machine, vault, expected in (
        (3600.0, None, [SLOW.format(where, "this machine's")]),
        (-3600.0, None, [FAST.format(where, "this machine's")]),
        (0.0, 3600.0, [SLOW.format(where, "Vault's")]),
        (3600.0, -3600.0, []),  # this machine's alone is wrong
        (0.0, 1.0, []),
    ):
        link = log_in(url, SUPERUSER, stack.postgresql.password, Elsewhere(machine), vault)
        causes = link.error.cause.splitlines() if link.error is not None else []
        assert [hours(cause) for cause in causes] == expected
        assert link.status == ("warning" if expected else "ok")


def test_a_postgresql_that_answers_before_a_commit_is_on_disk(stack: Stack, step: Step) -> None:
    stack.sql("ALTER DATABASE shop SET synchronous_commit = off")
    try:
        seen = {"by setup": told(step("doctor", "verify", "--json"), "database")["status"]}
        stack.sql(f"ALTER ROLE {MANAGER} RESET synchronous_commit")
        done = step("doctor", "verify")
        for setting in ("off", "'False'", "on", "remote_write"):
            stack.sql(f"ALTER ROLE {MANAGER} SET synchronous_commit = {setting}")
            seen[setting] = told(step("doctor", "verify", "--json"), "database")["status"]
        stack.sql(f"ALTER ROLE {MANAGER} RESET synchronous_commit")
        # Of this database alone; and of a role that ends nobody.
        stack.sql(f"ALTER ROLE {MANAGER} IN DATABASE shop SET synchronous_commit = on")
        seen["here"] = told(step("doctor", "verify", "--json"), "database")["status"]
        stack.sql(f"ALTER ROLE {MANAGER} IN DATABASE shop RESET synchronous_commit")
        stack.sql("ALTER ROLE app_owner SET synchronous_commit = on")
        seen["another"] = told(step("doctor", "verify", "--json"), "database")["status"]
    finally:
        stack.sql("ALTER DATABASE shop RESET synchronous_commit")
        stack.sql(f"ALTER ROLE {MANAGER} SET synchronous_commit = on")
        stack.sql(f"ALTER ROLE {MANAGER} IN DATABASE shop RESET synchronous_commit")
        stack.sql("ALTER ROLE app_owner RESET synchronous_commit")
    assert under(done.stdout, "database").partition("\n")[2] == (
        "  cause: synchronous_commit is off at this database: it says that a user is gone before that is on disk. If it "
        "crashes within a second, a user that Vault has revoked is there again, and Vault no longer knows it; also one "
        "that the ledger calls proven dead. Its password works until VALID UNTIL, if the lock did not change it.\n"
        "  fix: Have Vault's user wait for the disk; its sessions take that over when Vault connects anew:\n"
        "      ALTER ROLE <Vault's user> SET synchronous_commit = on;\n"
        "      bao write -f database/reset/<connection>\n"
        f"  see: {DOCS}#synchronous-commit\n"
    )
    assert under(done.stdout, "database").startswith("! database ")
    assert (done.stdout[-23:], done.returncode) == ("\n1 warning: see above.\n", 1)
    warned = dict.fromkeys(("off", "'False'", "another"), "warning")
    assert seen == {**warned, **dict.fromkeys(("by setup", "on", "remote_write", "here"), "ok")}
    assert told(step("doctor", "verify", "--json"), "database")["status"] == "ok"


def test_mariadb_is_asked_the_same(mariadb: MariaDB, account: Account) -> None:
    link = log_in(url_of(mariadb), account.name, account.password, Elsewhere(3600.0), None)
    assert link.error is not None
    assert link.found.startswith(f"{account.name} logs in at 127.0.0.1:{mariadb.port}: ")
    assert hours(link.error.cause) == SLOW.format(f"127.0.0.1:{mariadb.port}", "this machine's")
    assert log_in(url_of(mariadb), account.name, account.password, SystemClock(), None).status == "ok"


def locked(user: Account) -> Holding:
    return Holding("x", "app", Secret(""), "", username=user.name, lock_password=user.password)


def test_a_session_outlives_the_time_that_its_opening_may_take(
    mariadb: MariaDB, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sessions, "OPENING", 2.0)
    user, clock = Account(mariadb), SystemClock()
    session = OpenSession(
        Profile("app", "app", "database/creds/app", url_of(mariadb), "read-only"), locked(user), clock
    )
    session.open(user.password)
    clock.sleep(2.5)
    assert session.judge("").status == "warning"
    session.close()


@pytest.mark.parametrize("engine", ["postgresql", "mariadb"])
def test_a_revocation_does_not_wait_for_a_session_that_does_not_open(
    monkeypatch: pytest.MonkeyPatch, engine: str
) -> None:
    monkeypatch.setattr(sessions, "OPENING", 0.5)
    come: list[socket.socket] = []

    def silent(connection: socket.socket) -> None:
        come.append(connection)
        while connection.recv(65536):
            pass

    with liar(silent) as url:
        profile = Profile("app", "app", "database/creds/app", url._replace(engine=engine), "read-only")
        holding = Holding("x", "app", Secret(""), "", username="user", lock_password=Secret("of-the-lock"))
        session = OpenSession(profile, holding, SystemClock())
        session.open(Secret("as-issued"))  # the lock did not hold
        with pytest.raises(NotLookedAtError) as caught:
            session.judge("")
        assert str(caught.value) == "no second session could be opened: the lock comes first, and did not hold"
        assert come == []
        session.open(Secret("of-the-lock"))
        with pytest.raises(NotLookedAtError) as caught:
            session.judge("")
    assert str(caught.value) == (f"no second session could be opened: 127.0.0.1:{url.port} did not answer within 0.5 s")


def test_a_session_at_mariadb_that_revocation_leaves(mariadb: MariaDB) -> None:
    profile = Profile("app", "app", "database/creds/app", url_of(mariadb), "read-only")
    for end, status in (("DROP USER {}", "warning"), ("KILL USER {}", "ok")):
        user = Account(mariadb)
        session = OpenSession(profile, locked(user), SystemClock())
        session.open(user.password)
        mariadb.administer(end.format(f"{user.name}@'%'"))
        link = session.judge("")
        session.close()
        assert link.status == status


# Certificates.


def test_a_certificate_of_postgresql_that_ends_soon() -> None:
    with PostgreSQL(tls=True) as server:
        url = DatabaseURL(
            "postgresql", "postgresql", "127.0.0.1", server.port, "postgres", "verify-full", server.ca_cert
        )
        link = log_in(url, SUPERUSER, server.password, SystemClock(), None)
        unread = log_in(
            url._replace(sslmode="require", sslrootcert=None), SUPERUSER, server.password, SystemClock(), None
        )
    assert link.error is not None
    cause = re.sub(r"\d{4}-\S+Z", "TIME", link.error.cause)
    assert re.sub(r"in (23|24)h\w*", "in 24h", cause) == (
        f"The certificate of 127.0.0.1:{server.port} ends at TIME, in 24h. From then on no step gets a credential, and "
        "what a step holds at that moment is not proven dead."
    )
    assert (link.status, link.error.docs, unread.status) == ("warning", "certificate", "ok")


def test_a_certificate_of_vault_that_ends_soon(stack: Stack, step: Step, config_file: Path, tmp_path: Path) -> None:
    pem = make(SystemClock().now())
    for name, content in (("ca.pem", pem.authority), ("server.pem", pem.certificate + pem.key)):
        (tmp_path / name).write_bytes(content)
    door = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    door.load_cert_chain(tmp_path / "server.pem")
    with FaultyVault(stack.address, door) as vault:
        changes = {"address": vault.address, "ca_cert": "ca.pem"}
        reconfigure(config_file, lambda document: document["vault"].update(changes))
        done = step("doctor", "verify")
    found = re.sub(r"\d{4}-\S+Z", "TIME", under(done.stdout, "vault"))
    assert re.sub(r"in (23|24)h\w*", "in 24h", found) == (
        f"! vault       {vault.address}: version 2.7.2, TLS, its certificate signed by {tmp_path}/ca.pem\n"
        f"  cause: The certificate of Vault at {vault.address} ends at TIME, in 24h. From then on no step gets a "
        "credential, and what a step holds at that moment is not proven dead.\n"
        "  fix: Renew the certificate on the server.\n"
        f"  see: {DOCS}#certificate\n"
    )
    assert done.returncode == 1


# Another database.


def test_a_database_that_is_not_the_one_vault_issues_for(stack: Stack, step: Step, config_file: Path) -> None:
    with PostgreSQL() as other, Oddities(stack, config_file) as odd:
        there = f"127.0.0.1:{other.port}"
        odd.profile("stray", access="read-only", database=f"postgresql://{there}/shop?sslmode=disable")
        done = step("doctor", "stray")
    found = re.sub(r"v-[0-9a-f]{12}-[\w-]+", "USER", under(done.stdout, "database"))
    assert found == (
        f'✗ database    {there} said: password authentication failed for user "USER"\n'
        f"  cause: Vault made this user a moment ago. So its connection leads to another server than {there}, or to a "
        "replica that is behind; or pg_hba.conf lets nobody in this way. The proof of death would ask the wrong "
        "server.\n"
        "  fix: Compare `database` of the profile with the host in the connection_url that Vault has:\n"
        "      bao list database/config\n"
        "      bao read database/config/<connection>\n"
        f"  see: {DOCS}#other-database\n"
    )
    assert done.returncode == 1
