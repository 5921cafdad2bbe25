"""A branch or a fork whose stepcreds.yml is malicious: what its author's servers get, and what that is worth."""

from __future__ import annotations

import json
import socket
import struct
import threading
from collections.abc import Iterator, Mapping
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from typing import Any

import pytest
import requests
from chaos_table import Tell
from step_runs import kinds, normalised, reconfigure, said, verdicts
from sweep_runs import DEAD, outcome

from conftest import Step
from stepcreds.cli.operator import operator_token
from stepcreds.clock import SystemClock
from stepcreds.config.load import load_config
from stepcreds.devstack.stack import Stack
from stepcreds.errors import UsageError

pytestmark = pytest.mark.usefixtures("alone")

EVIL = "https://vault.evil.invalid:8200"
SEE = "  see: https://github.com/stepcreds/stepcreds/blob/v1/docs/troubleshooting.md#"


class Recorder:
    """A server that writes down what it is asked, with all it is given, and answers 400."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, Mapping[str, str], Any]] = []
        asked = self.asked

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:  # noqa: N802 - http.server's name
                length = int(self.headers.get("Content-Length", "0"))
                asked.append((self.path, dict(self.headers), json.loads(self.rfile.read(length) or b"{}")))
                self.send_response(400)
                self.send_header("Content-Type", "application/json")
                self.end_headers()
                self.wfile.write(b'{"errors":["no"]}')

            do_PUT = do_GET = do_POST  # noqa: N815 - likewise

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - likewise
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()
        self.address = f"http://localhost:{self._server.server_port}"  # another host than OpenBao's, 127.0.0.1

    def __enter__(self) -> Recorder:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


@pytest.fixture
def evil() -> Iterator[Recorder]:
    with Recorder() as server:
        yield server


def configure(config_file: Path, address: Any, **auth: str) -> None:
    reconfigure(config_file, lambda document: document["vault"].update(address=address, auth=auth))


def presented(stack: Stack, jwt: str) -> list[str]:
    """What OpenBao says to whoever has this token, for each role."""
    found = []
    for role in ("app-migrate", "app-verify"):
        answer = requests.post(f"{stack.address}/v1/auth/jwt/login", json={"role": role, "jwt": jwt}, timeout=60)
        found += [f"{answer.status_code} {error}" for error in answer.json()["errors"]]
    return found


REFUSED = [
    "400 error validating token: invalid audience (aud) claim: audience claim does not match any expected audience"
] * 2


def test_the_token_that_an_address_of_a_branch_gets_is_worth_nothing_elsewhere(
    stack: Stack, step: Step, config_file: Path, evil: Recorder, row: Tell
) -> None:
    configure(config_file, address=evil.address)
    run = step("exec", "migrate", "--", "true", VAULT_TOKEN="hvs.not-for-it")
    assert run.returncode == 125
    ((path, headers, body),) = evil.asked
    assert path == "/v1/auth/jwt/login"
    assert "hvs.not-for-it" not in json.dumps([headers, body])
    assert presented(stack, body["jwt"]) == REFUSED
    # A token of this issuer for the right audience is accepted, or this would prove nothing.
    good = stack.issuer.token(stack.address).reveal()
    answer = requests.post(f"{stack.address}/v1/auth/jwt/login", json={"role": "app-migrate", "jwt": good}, timeout=60)
    assert answer.status_code == 200
    revoked = requests.post(
        f"{stack.address}/v1/auth/token/revoke-self",
        headers={"X-Vault-Token": answer.json()["auth"]["client_token"]},
        timeout=60,
    )
    assert revoked.status_code == 204
    row("branch: names a Vault of its own", "login", f"{outcome(run, [])}, its token refused by ours", None)


@pytest.mark.chaos
@pytest.mark.parametrize("addresses", [["ours", "evil"], ["evil", "ours"]], ids=["second", "first"])
def test_a_server_that_a_branch_adds_to_ours(
    stack: Stack, step: Step, config_file: Path, evil: Recorder, addresses: list[str], row: Tell
) -> None:
    configure(config_file, address=[{"ours": stack.address, "evil": evil.address}[name] for name in addresses])
    run = step("exec", "migrate", "--", "true")
    assert run.returncode == 125
    if addresses[0] == "ours":  # which refuses that audience; nobody else is asked then
        assert "invalid audience (aud) claim" in run.stderr
        assert evil.asked == []
    else:
        ((_, _, body),) = evil.asked
        assert presented(stack, body["jwt"]) == REFUSED
    fault = f"branch: adds a Vault {'after' if addresses[0] == 'ours' else 'before'} ours"
    row(fault, "login", f"{outcome(run, [])}, its token refused by ours", None)


def test_an_audience_of_ours_beside_an_address_of_a_branch(
    stack: Stack, step: Step, config_file: Path, evil: Recorder, row: Tell
) -> None:
    for addresses in (evil.address, [stack.address, evil.address], [evil.address, stack.address]):
        configure(config_file, address=addresses, audience=stack.address)
        run = step("exec", "migrate", "--", "true")
        assert run.returncode == 125
        assert said(run.stderr) == (
            "stepcreds: error: 1 problem in the configuration\n"
            f"{said(run.stderr).splitlines()[1].split(': ')[0]}: vault.auth.audience: the audience does not name the host of vault.address: the token would be worth something elsewhere\n"
            "  fix: Leave the audience out (it is the address then), or give the address outside this file, in STEPCREDS_VAULT_ADDR.\n"
            f"{SEE}configuration\n"
        )
    assert evil.asked == []
    row("branch: names a Vault of its own, our audience", "before the login", f"{outcome(run, [])}, nothing sent", None)


def test_a_token_that_an_administrator_made_for_ours(
    stack: Stack, step: Step, config_file: Path, evil: Recorder
) -> None:
    """In a variable, also one that the branch names: a token for another audience is not sent."""
    token = stack.issuer.token(stack.address).reveal()
    for variable in ("STEPCREDS_ID_TOKEN", "OTHER"):
        configure(config_file, address=evil.address, id_token_variable="OTHER")
        run = step("exec", "migrate", "--", "true", GITHUB_ACTIONS=None, GITLAB_CI="true", **{variable: token})
        assert run.returncode == 125
        assert f'and this step needs one for "{evil.address}"' in run.stderr, run.stderr
    assert evil.asked == []


def test_the_address_that_an_administrator_pins_wins(
    stack: Stack, step: Step, config_file: Path, evil: Recorder, row: Tell
) -> None:
    configure(config_file, address=evil.address, audience=evil.address)
    pinned = {"STEPCREDS_VAULT_ADDR": stack.address, "VAULT_ADDR": evil.address, "BAO_ADDR": evil.address}
    run = step("exec", "migrate", "--", "true", **pinned)
    assert (run.returncode, verdicts(config_file)) == (0, [DEAD]), run.stderr
    row("branch: names a Vault of its own, ours is pinned", "login", outcome(run, [DEAD]), None)
    # The file goes before VAULT_ADDR, which an earlier step could have written to GITHUB_ENV.
    configure(config_file, address=stack.address)
    run = step("exec", "migrate", "--", "true", VAULT_ADDR=evil.address, BAO_ADDR=evil.address)
    assert (run.returncode, verdicts(config_file)[1:]) == (0, [DEAD]), run.stderr
    assert evil.asked == []


@pytest.mark.parametrize(
    "words",
    [
        ("exec", "--as-operator", "migrate", "--", "true"),
        pytest.param(("revoke", "--as-operator", "--all"), marks=pytest.mark.chaos),
        pytest.param(("scope", "migrate"), marks=pytest.mark.chaos),
        pytest.param(("doctor", "migrate"), marks=pytest.mark.chaos),
        (
            "setup",
            "check",
            "--without-databases",
            "--ci",
            "github",
            "--repository-id",
            "7",
            "--environment",
            "production",
        ),
    ],
    ids=lambda words: words[0],
)
def test_the_token_of_a_person_goes_to_no_server_that_a_branch_names(
    step: Step, config_file: Path, words: tuple[str, ...], row: Tell
) -> None:
    configure(config_file, address=EVIL)
    run = step(*words, VAULT_TOKEN="hvs.of-a-person", VAULT_ADDR="https://vault.example.com:8200")
    assert run.returncode == (125 if words[0] == "exec" else 2)
    assert "hvs.of-a-person" not in run.stdout + run.stderr
    flag = {"exec": "--as-operator", "revoke": "--as-operator", "setup": "setup check"}.get(words[0])
    what = f"{flag} would give your own Vault token" if flag else f"VAULT_TOKEN is set, and {words[0]} would give it"
    assert said(run.stderr) == (
        f"stepcreds: error: {what} to {EVIL}, which stepcreds.yml names and your environment does not\n"
        "  cause: Whoever can change that file on a branch could have your token so. It goes only to a host and port that STEPCREDS_VAULT_ADDR, VAULT_ADDR or BAO_ADDR names; where none is set, to 127.0.0.1:8200.\n"
        "  fix: If that is your Vault:\n"
        f"      export VAULT_ADDR={EVIL}\n"
        "    If your token has no part in this:\n"
        "      unset VAULT_TOKEN BAO_TOKEN\n"
        f"{SEE}as-operator\n"
    )
    fault = f"branch: names a Vault of its own, {words[0]} with a person's token"
    row(fault, "before the login", f"{outcome(run, [])}, nothing sent", None)


def test_the_token_of_a_person_goes_to_the_server_that_the_environment_names(config_file: Path) -> None:
    """At its port, which on a shared machine may be another's listener; and of several, to all or to none."""
    ours = "https://vault.example.com:8200"
    token = {"VAULT_TOKEN": "hvs.x"}

    def given(addresses: Any, **environment: str) -> bool:
        configure(config_file, address=addresses)
        config = load_config(config_file, environment, config_file.parent, SystemClock())
        try:
            return operator_token({**token, **environment}, config.vault).reveal() == "hvs.x"
        except UsageError:
            return False

    for name in ("VAULT_ADDR", "BAO_ADDR", "STEPCREDS_VAULT_ADDR"):
        assert given(ours, **{name: "https://VAULT.example.com:8200"})
        pinned = name == "STEPCREDS_VAULT_ADDR"  # which is the one in use
        assert given(ours, **{name: "https://vault.example.com"}) is pinned
        assert given([ours, EVIL], **{name: f"{ours},{EVIL}"})
    assert not given(ours)
    assert not given([ours, EVIL], VAULT_ADDR=ours)
    assert not given(EVIL, VAULT_ADDR=ours)
    assert not given(EVIL, VAULT_ADDR="vault.evil.invalid")  # no address at all
    assert given(EVIL, STEPCREDS_VAULT_ADDR=ours)  # which is the one in use
    assert given("http://127.0.0.1:8200")  # where the Vault CLI would take it
    assert not given("http://127.0.0.1:8201")
    assert not given("http://127.0.0.1:8200", VAULT_ADDR=ours)
    assert given("http://127.0.0.1:8201", VAULT_ADDR="http://localhost:8201")
    assert not given("http://127.0.0.1:8201", VAULT_ADDR="http://localhost:8200")


# --- what else such a file could ask for


class Greedy:
    """A database that asks for the password in one way after the other, and writes down what it is told."""

    def __init__(self, method: int) -> None:
        self.told = b""
        self._method = method
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listener.getsockname()[1])
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def _serve(self) -> None:
        with suppress(OSError):
            while True:
                connection, _ = self._listener.accept()
                with connection, suppress(OSError):
                    self.told += connection.recv(65536)
                    salt = b"salt" if self._method == 5 else b""
                    asks = struct.pack("!I", self._method) + salt
                    connection.sendall(b"R" + struct.pack("!I", 4 + len(asks)) + asks)
                    while data := connection.recv(65536):
                        self.told += data

    def __enter__(self) -> Greedy:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join()


def test_a_database_of_a_branch_is_not_told_the_password(
    stack: Stack, step: Step, config_file: Path, tmp_path: Path, row: Tell
) -> None:
    """In clear. It is told who logs in; and of an answer to MD5's salt nobody finds a password of Vault's."""
    command = ["sh", "-c", f'printf %s "$PGPASSWORD" > {tmp_path / "password"}']
    with Greedy(3) as evil:
        there = f"postgresql://127.0.0.1:{evil.port}/shop?sslmode=disable"
        reconfigure(config_file, lambda document: document["profiles"]["migrate"].update(database=there))
        run = step("exec", "migrate", "--", *command)
    assert run.returncode == 125, run.stderr
    assert not (tmp_path / "password").exists()  # who cannot be measured is handed to nobody
    assert b"v-" in evil.told
    assert b"p\0\0" not in evil.told  # the message with a password
    assert "asks for the password in clear on a connection without TLS" in run.stderr
    assert verdicts(config_file) != [DEAD]  # nobody could ask the database that it was made for
    row(
        "branch: names a database that asks for the password",
        "measure",
        f"{outcome(run, verdicts(config_file))}, not told",
        None,
    )


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        ("../../../../../../../../etc/passwd", "a part of that path is not a folder"),
        ("/proc/self", "it is gone"),
        ("/sys", ""),
    ],
)
def test_a_ledger_in_a_place_that_is_none(step: Step, config_file: Path, path: str, reason: str, row: Tell) -> None:
    reconfigure(config_file, lambda document: document["ledger"].update(path=path))
    run = step("exec", "migrate", "--", "true")
    assert run.returncode == 125
    assert said(run.stderr).startswith("stepcreds: error: The ledger cannot use "), run.stderr
    assert reason in run.stderr
    assert "Traceback" not in run.stderr
    row("branch: names a ledger in a place that is none", "before the login", outcome(run, []), None)


@pytest.mark.parametrize(
    "files",
    [
        {"../pgpass": "x"},
        {"{dir}/../pgpass": "x"},
        *(
            pytest.param({name: "x"}, marks=pytest.mark.chaos)
            for name in ("/etc/profile.d/x.sh", "~/.pgpass", "{dir}/a/../../b", "{dir}{dir}/x")
        ),
    ],
    ids=str,
)
def test_a_file_outside_the_private_folder(step: Step, config_file: Path, files: dict[str, str]) -> None:
    reconfigure(config_file, lambda document: document["profiles"]["migrate"].update(files=files))
    run = step("exec", "migrate", "--", "true")
    assert run.returncode == 125
    assert "the file is not inside the step's private folder\n" in run.stderr
    assert not (config_file.parent / ".stepcreds").exists()


def test_what_a_branch_may_say_is_on_record(step: Step, config_file: Path) -> None:
    """A step as it should be, after all of these; so that each of them failed for its own reason."""
    run = step("exec", "migrate", "--", "true")
    assert run.returncode == 0, run.stderr
    assert "credential.closed" in kinds(config_file)
    assert "proven dead" in normalised(run.stderr)
